// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-outline-regions

// expected-error @+1 {{[ditto-outline-regions] 'builtin.module' op: the module has no explicit casts; run ditto-insert-casts first}}
module attributes {ditto.stage = "annotated"} {
  func.func @no_casts(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
