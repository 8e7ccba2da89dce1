// RUN: ditto-opt %s --split-input-file --ditto-assign-rings --verify-diagnostics
// RUN: not ditto-opt %s --ditto-assign-rings='significant-bits=31' 2>&1 | filecheck %s --check-prefix=BITS
// RUN: not ditto-opt %s --ditto-assign-rings='margin-bits=-1' 2>&1 | filecheck %s --check-prefix=MARGIN

// BITS: significant_bits must be from 1 to 30, got 31
// MARGIN: margin_bits must be from 0 to 30, got -1

// expected-error @+1 {{'builtin.module' op: the module has no explicit casts; run ditto-insert-casts first}}
module {
  func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

// -----
// Each operand keeps the fraction bits of the policy, as long as nothing is known of it.
module attributes {ditto.stage = "cast"} {
  func.func @main(%x: tensor<4xf32, #ditto.fxp<64, 40>>) -> tensor<4xf32, #ditto.fxp<64, 40>> {
    // expected-error @+1 {{[ditto-assign-rings] 'stablehlo.multiply' op: its numbers are of unknown magnitude, and with their fraction bits, and those of what they are multiplied by, do not fit 64 bits; calibrate, or give it a rule with fewer frac bits}}
    %0 = stablehlo.multiply %x, %x : tensor<4xf32, #ditto.fxp<64, 40>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 40>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @main(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    // expected-error @+1 {{'exp' cannot be computed in one go on [-40, 10]}}
    %0 = "ditto.oneshot"(%x) {function = @exp, otherwise = @exp, error = 1.0e-9 : f64, low = -40.0 : f64, high = 10.0 : f64} : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
  func.func private @exp(%x: tensor<4xf32>) -> tensor<4xf32> {
    %0 = stablehlo.exponential %x : tensor<4xf32>
    return %0 : tensor<4xf32>
  }
}
