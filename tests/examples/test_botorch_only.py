from __future__ import annotations

import botorch_only
import pytest
import torch


def test_all_priors_start_from_the_same_points(capsys: pytest.CaptureFixture[str]) -> None:
    results = botorch_only.main(["--seeds", "1", "--batches", "1"])
    assert "trust in it" in capsys.readouterr().out
    assert {values[0][0] for values in results.values()} == {results["no prior"][0][0]}
    assert all(values[0][1] >= values[0][0] for values in results.values())


def test_beliefs_are_what_they_are_called() -> None:
    priors = botorch_only.priors()
    optimum = botorch_only.HARTMANN.optimizers[0]
    assert (torch.tensor(botorch_only.ROUGHLY_RIGHT) - optimum).abs().max() < 0.06
    assert priors["no prior"].log_prob(optimum) == 0.0
    assert priors["roughly right"].log_prob(optimum) > 2.0
    assert priors["wrong"].log_prob(optimum) < -1.0
