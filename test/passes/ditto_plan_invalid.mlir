// RUN: ditto-opt %s --split-input-file --ditto-plan='noise=1e-30' --verify-diagnostics
// RUN: not ditto-opt %s --ditto-plan='noise=-1' 2>&1 | filecheck %s --check-prefix=NOISE
// RUN: not ditto-opt %s --ditto-plan='gap=few' 2>&1 | filecheck %s --check-prefix=GAP
// RUN: not ditto-opt %s --ditto-plan='objective=moon' 2>&1 | filecheck %s --check-prefix=OBJECTIVE
// RUN: not ditto-opt %s --ditto-plan='seconds=0' 2>&1 | filecheck %s --check-prefix=SECONDS

// NOISE: noise must be a number above 0, got '-1'
// GAP: gap must be a number above 0, got 'few'
// OBJECTIVE: moon
// SECONDS: seconds must be at least 1, got 0

// expected-error @+1 {{'builtin.module' op: the module has no explicit casts; run ditto-insert-casts first}}
module {
  func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  // expected-error @+1 {{[ditto-plan] 'func.func' op: nothing keeps the bound on noise}}
  func.func @main(%x: tensor<4096xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -3.0, 3.0>}) -> tensor<4096xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.multiply %x, %x {ditto.gain = array<f64: 900.0, 9.0, 3.0>, ditto.range = array<f64: -3.0, 3.0>} : tensor<4096xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4096xf32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  // expected-error @+1 {{:stablehlo.multiply#0: nobody told by 'ditto.gain' how much noise matters there}}
  func.func @main(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.multiply %x, %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  // expected-error @+1 {{there is nothing to decide: no product or function runs beside the engine}}
  func.func @main(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
