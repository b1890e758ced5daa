"""A mixture as JSON-able values and back, for whoever has to keep one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_prior_bo.errors import LLMPriorError, PriorError
from llm_prior_bo.priors.marginals import CategoricalMarginal, Marginal, SplitNormalMarginal
from llm_prior_bo.priors.mixture import MixturePrior
from llm_prior_bo.priors.region import RegionPrior
from llm_prior_bo.space import Column, SearchSpace


def mixture_to_dict(prior: MixturePrior) -> dict[str, Any]:
    """Regions, weights and marginals of a mixture; its space is not in it.

    Raises:
        PriorError: If a marginal is of a class of the user's own.
    """
    return {
        "weights": prior.weights.tolist(),
        "uniform_weight": prior.uniform_weight,
        "regions": [
            {
                "label": region.label,
                "marginals": {name: _marginal_to_dict(marginal) for name, marginal in region.marginals.items()},
                "correlations": [[first, second, rho] for (first, second), rho in region.correlations.items()],
            }
            for region in prior.regions
        ],
    }


def mixture_from_dict(record: Any, space: SearchSpace) -> MixturePrior:
    """The mixture from `mixture_to_dict`.

    Args:
        record: What was kept; untrusted input.
        space: The space that the mixture is over.

    Raises:
        PriorError: If the record is something else, or does not fit the space.
    """
    try:
        regions = [
            RegionPrior(
                space,
                {name: _marginal_from_dict(one, space.column(name)) for name, one in region["marginals"].items()},
                correlations={(first, second): float(rho) for first, second, rho in region["correlations"]},
                label=str(region["label"]),
            )
            for region in record["regions"]
        ]
        return MixturePrior(space, regions, [float(weight) for weight in record["weights"]], record["uniform_weight"])
    except (AttributeError, KeyError, TypeError, ValueError, LLMPriorError) as error:
        raise PriorError(
            f"Expected the record of a mixture over {list(space.names)}, got one with {error!r}."
        ) from None


def _marginal_to_dict(marginal: Marginal) -> dict[str, Any]:
    if isinstance(marginal, SplitNormalMarginal):
        return {"mode": marginal.mode_unit, "left": marginal.left_scale, "right": marginal.right_scale}
    if isinstance(marginal, CategoricalMarginal):
        return {"probabilities": list(marginal.probabilities)}
    raise PriorError(f"Expected marginals that can be kept, got a {type(marginal).__name__}.")


def _marginal_from_dict(record: Mapping[str, Any], column: Column) -> Marginal:
    if "probabilities" in record:
        return CategoricalMarginal(column, tuple(float(p) for p in record["probabilities"]))
    return SplitNormalMarginal(column, float(record["mode"]), float(record["left"]), float(record["right"]))
