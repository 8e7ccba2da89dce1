// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-optimize-casts

// expected-error @+1 {{[ditto-optimize-casts] 'builtin.module' op: the module has no explicit casts; run ditto-insert-casts first}}
module attributes {ditto.stage = "annotated"} {
  func.func @no_casts(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
