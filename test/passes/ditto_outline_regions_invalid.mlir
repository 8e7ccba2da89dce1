// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-outline-regions

// expected-error @+1 {{[ditto-outline-regions] 'builtin.module' op: the module has no explicit casts; run ditto-insert-casts first}}
module attributes {ditto.stage = "annotated"} {
  func.func @no_casts(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @main(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
  // expected-error @+1 {{'func.func' op: only @main can be outlined; run inline-calls first}}
  func.func public @beside(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @main(%x: tensor<4xf32, #ditto.fxp<64, 0>>) -> tensor<4xf32, #ditto.fxp<64, 0>> {
    // expected-error @+1 {{[ditto-outline-regions] 'stablehlo.exponential' op: the engine takes 0 fraction bits for its default; give it a rule with frac = 1 or more}}
    %0 = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 0>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 0>>
  }
}
