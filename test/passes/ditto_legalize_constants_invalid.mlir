// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-legalize-constants

// expected-error@+1 {{the module has no explicit casts; run ditto-insert-casts first}}
module {
  func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @nan(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    // expected-error@+1 {{it uses NaN, which cannot be shared: fixed point holds numbers; select one instead}}
    %nan = stablehlo.constant dense<0x7FC00000> : tensor<4xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.add %x, %nan : tensor<4xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @number(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    // expected-error@+1 {{it uses the constant 1e+09, which does not fit #ditto.fxp<32, 10> with its magnitudes below 1.04858e+06 and does not stand for infinity: it is added to numbers}}
    %large = stablehlo.constant dense<1.0e9> : tensor<4xf32, #ditto.fxp<32, 10>>
    // expected-note@+1 {{where it is used as a number}}
    %0 = stablehlo.add %x, %large : tensor<4xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// Calibration cannot have measured what comes of such a number.
module attributes {ditto.stage = "cast"} {
  func.func @measured(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    // expected-error@+1 {{it uses the constant 1e+09, which does not stand for infinity: it is added to numbers}}
    %0 = stablehlo.constant dense<1.0e9> : tensor<4xf32, #ditto.fxp<64, 18>>
    // expected-note@+1 {{where it is used as a number}}
    %1 = stablehlo.add %x, %0 : tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.multiply %1, %x {ditto.range = array<f64: 0.0, 1.0>} : tensor<4xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @factor(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    // expected-error@+1 {{it is multiplied}}
    %large = stablehlo.constant dense<-2.0e6> : tensor<4xf32, #ditto.fxp<32, 10>>
    // expected-note@+1 {{where it is used as a number}}
    %0 = stablehlo.multiply %x, %large : tensor<4xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @result(%x: tensor<4xf32, #ditto.fxp<32, 10>>, %p: tensor<4xi1, #ditto.int<32>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    // expected-error@+1 {{it is among the results, which are numbers}}
    %inf = stablehlo.constant dense<0x7F800000> : tensor<4xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.select %p, %x, %inf : tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<32, 10>>
    // expected-note@+1 {{where it is used as a number}}
    return %0 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @zero(%x: tensor<2xf32, #ditto.fxp<32, 10>>) -> tensor<2xf32, #ditto.fxp<32, 10>> {
    // expected-error@+1 {{it divides by a constant that is 0, at least in places}}
    %zero = stablehlo.constant dense<[1.0, 0.0]> : tensor<2xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.divide %x, %zero : tensor<2xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<2xf32, #ditto.fxp<32, 10>>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @room(%x: tensor<4xf32, #ditto.fxp<32, 10>> {ditto.max_abs = 3.0e5 : f64}, %p: tensor<4xi1, #ditto.int<32>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    // expected-error@+1 {{numbers up to 3e+05 stand beside infinity, or a huge constant of a mask}}
    %huge = stablehlo.constant dense<-1.0e9> : tensor<4xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.select %p, %x, %huge : tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.subtract %0, %x : tensor<4xf32, #ditto.fxp<32, 10>>
    %wide = "ditto.upcast"(%1) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.exponential %wide : tensor<4xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
