// RUN: ditto-opt %s --split-input-file --ditto-check-domains --verify-diagnostics

module attributes {ditto.stage = "cast"} {
  func.func @measured(%x: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -3.0, 19.5>}) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    // expected-error @+1 {{[ditto-check-domains] 'stablehlo.exponential' op: its argument is in [-3, 19.5], but in #ditto.fxp<64, 18> it is right for between -inf and 18.02: give it a rule with ring = 64 and frac = 16, or scale the argument}}
    %0 = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @proved(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %c = stablehlo.constant dense<30.0> : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.tanh %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.multiply %0, %c : tensor<4xf32, #ditto.fxp<64, 18>>
    // expected-error @+1 {{its argument is in [-30, 30], but}}
    %2 = stablehlo.exponential_minus_one %1 : tensor<4xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @too_small(%x: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: 1.0e-9, 1.0>}) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    // expected-error @+1 {{its argument was measured to be as small as 1e-09, but in #ditto.fxp<64, 18> it is right for between 3.815e-06 and 5.243e+05: give it a rule with ring = 128 and frac = 40}}
    %0 = stablehlo.log %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// A large divisor is scaled, a large dividend is not; nor is a quotient.
module attributes {ditto.stage = "cast"} {
  func.func @division(%x: tensor<4xf32, #ditto.fxp<64, 20>> {ditto.range = array<f64: 0.0, 5.0e6>}, %y: tensor<4xf32, #ditto.fxp<64, 20>> {ditto.range = array<f64: 1.0e-4, 1.5e6>}) -> (tensor<4xf32, #ditto.fxp<64, 20>>, tensor<4xf32, #ditto.fxp<64, 20>>) {
    // expected-error @+1 {{its dividend is in [0, 5e+06], but}}
    %0 = stablehlo.divide %x, %y : tensor<4xf32, #ditto.fxp<64, 20>>
    // expected-error @+1 {{its quotient reaches 1.5e+10, but}}
    %1 = stablehlo.divide %y, %y : tensor<4xf32, #ditto.fxp<64, 20>>
    return %0, %1 : tensor<4xf32, #ditto.fxp<64, 20>>, tensor<4xf32, #ditto.fxp<64, 20>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @power(%x: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: 1.0, 1024.0>}, %y: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -4.0, 2.0>}) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    // expected-error @+1 {{its result reaches 1.1e+12, but}}
    %0 = stablehlo.power %x, %y : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @no_domain(%x: tensor<4xf32, #ditto.fxp<64, 34>>) -> tensor<4xf32, #ditto.fxp<64, 34>> {
    // expected-error @+1 {{'stablehlo.exponential' op: it has no domain in #ditto.fxp<64, 34>: give it a rule with ring = 64 and frac = 18}}
    %0 = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 34>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 34>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @form(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    // expected-error @+1 {{'stablehlo.multiply' op: it was measured in [1, 40], but the form that it belongs to is right for magnitudes up to 2; choose another form}}
    %0 = stablehlo.multiply %x, %x {ditto.max_abs = 2.0 : f64, ditto.range = array<f64: 1.0, 40.0>} : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// expected-error @+1 {{'builtin.module' op: the module has no explicit casts; run ditto-insert-casts first}}
module {
  func.func @no_casts(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}
