"""From StableHLO to pphlo, the dialect of SPU: one emitter per row of the op table.

pphlo's ops are unregistered here, so they are built by name; the engine's own parser checks them.
Secret tensors have elements `!pphlo.secret<f32>`. The engine has one fixed-point format per runtime, so
f16, bf16 and f32 all become f32; f64 stays, for the sake of its constants.
"""
