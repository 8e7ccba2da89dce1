// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-expand-rescale

// expected-error @+1 {{[ditto-expand-rescale] 'builtin.module' op: the module has no explicit casts; run ditto-insert-casts first}}
module {
  func.func @not_cast(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @no_room(%x: tensor<4xf32, #ditto.fxp<32, 18>>) -> tensor<4xf32, #ditto.fxp<32, 18>> {
    // expected-error @+1 {{'stablehlo.multiply' op: an exact product does not fit: fraction bits must be in [0, 30] for ring 32, got 36}}
    %0 = stablehlo.multiply %x, %x : tensor<4xf32, #ditto.fxp<32, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 18>>
  }
}
