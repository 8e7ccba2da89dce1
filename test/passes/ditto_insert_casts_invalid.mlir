// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-insert-casts

// expected-error @+1 {{[ditto-insert-casts] 'builtin.module' op: the module is not annotated; run ditto-annotate first}}
module {
  func.func @not_annotated(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

// -----

// expected-error @+1 {{'builtin.module' op: ditto-expand-rescale has run already; run this pass before it}}
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @exact_products(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// expected-error @+1 {{'builtin.module' op: ditto-outline-regions has run already; run this pass before it}}
module attributes {ditto.stage = "outlined"} {
  func.func @outlined(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
