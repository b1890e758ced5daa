"""Methods of this field's papers, as Optuna samplers that talk to any `LLMClient`.

| sampler | after | questions in a study of `n` trials |
|---|---|---|
| `OneShotSampler` | LLAMBO's warm start (arXiv 2402.03921), then TPE | 1 |
| `NarrowingSampler` | search-space proposals, with any of Optuna's samplers | 1 |
| `LLMTPESampler` | SLLMBO's LLM-TPE (arXiv 2410.20302) | about `p n`, `p = 0.5` |
| `PerTrialSampler` | Zhang et al. (arXiv 2312.04528) | `n` |
| `CMAOverrideSampler` | Centaur (arXiv 2603.24647) | about `0.3 (n - 10)` |

The prompts are written anew: each shows the problem, the space and the trials in the words of the package's own
question, so that a difference between methods is not one of what the model was told. An unusable reply is counted
(`asking.counts`) and the trial goes to the plain sampler; nothing is repaired silently but values outside a range,
which are clipped, and parameters left out, which the plain sampler fills in.

Without a provider, methods with one question run on recorded exchanges (`RecordedClient`). The later questions of the
others hold the results of the very study, so they cannot be recorded ahead: these methods need a live model.

`external` runs SMAC3 and NePS with the same prior, reduced to what they can express, in interpreters of their own.
"""
