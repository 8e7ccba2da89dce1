// RUN: ditto-opt %s --split-input-file --ditto-expand-functions | filecheck %s

// Nothing is known of the argument: the clip, a quartic, and five squarings.
// CHECK-LABEL: func.func @exponential(
// CHECK:         %[[LOW:.*]] = stablehlo.constant dense<-16.63{{.*}}> : tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    stablehlo.maximum %arg0, %[[LOW]]
// CHECK-NOT:     ditto.max_abs
// CHECK-COUNT-8: stablehlo.multiply
// CHECK-NOT:     stablehlo.multiply
// CHECK-NOT:     stablehlo.exponential
module attributes {ditto.stage = "cast"} {
  func.func @exponential(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// What is known to be negative takes two squarings less; what is known not to be too small takes no clip.
// CHECK-LABEL: func.func @known_arguments(
// CHECK-NOT:     stablehlo.maximum
// CHECK-COUNT-6: stablehlo.multiply
// CHECK-NOT:     stablehlo.multiply
// CHECK:         return
module attributes {ditto.stage = "cast"} {
  func.func @known_arguments(%x: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -9.0, 0.0>}) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Half precision is computed in single, or constants would lose their bits; double in double, with more squarings.
// CHECK-LABEL: func.func @other_dtypes(
// CHECK:         %[[H:.*]] = stablehlo.convert %arg0 : (tensor<4xbf16, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK:         stablehlo.maximum %[[H]], %{{.*}} : tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK:         %[[E:.*]] = stablehlo.subtract %{{.*}} : tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    %[[B:.*]] = stablehlo.convert %[[E]] : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xbf16, #ditto.fxp<64, 18>>
// CHECK:         stablehlo.constant dense<-31.8{{.*}}> : tensor<4xf64, #ditto.fxp<128, 40>>
// CHECK:         return %[[B]], %{{.*}}
module attributes {ditto.stage = "cast"} {
  func.func @other_dtypes(%x: tensor<4xbf16, #ditto.fxp<64, 18>>, %y: tensor<4xf64, #ditto.fxp<128, 40>>) -> (tensor<4xbf16, #ditto.fxp<64, 18>>, tensor<4xf64, #ditto.fxp<128, 40>>) {
    %0 = stablehlo.exponential_minus_one %x : tensor<4xbf16, #ditto.fxp<64, 18>>
    %1 = stablehlo.exponential %y : tensor<4xf64, #ditto.fxp<128, 40>>
    return %0, %1 : tensor<4xbf16, #ditto.fxp<64, 18>>, tensor<4xf64, #ditto.fxp<128, 40>>
  }
}

// -----

// Two comparisons, and no division: the denominator is in [1, 2].
// CHECK-LABEL: func.func @logistic(
// CHECK:         stablehlo.compare LT, %arg0, %{{.*}}
// CHECK:         stablehlo.compare LT,
// CHECK-NOT:     stablehlo.divide
// CHECK-NOT:     stablehlo.logistic
// CHECK:         return
module attributes {ditto.stage = "cast"} {
  func.func @logistic(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.logistic %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Variances of up to 1e6 leave the domain, 2^17: those from 2^16 on are taken 2^-4 times.
// CHECK-LABEL: func.func @root(
// CHECK:         %[[C:.*]] = stablehlo.constant dense<6.553600e+04>
// CHECK-NEXT:    %[[L:.*]] = stablehlo.compare GE, %arg0, %[[C]], FLOAT
// CHECK:         %[[F:.*]] = stablehlo.constant dense<6.250000e-02>
// CHECK-NEXT:    %[[M:.*]] = stablehlo.multiply %arg0, %[[F]] {ditto.max_abs = 6.553600e+04 : f64}
// CHECK-NEXT:    %[[S:.*]] = stablehlo.select %[[L]], %[[M]], %arg0 {ditto.max_abs = 6.553600e+04 : f64}
// CHECK-NEXT:    %[[R:.*]] = stablehlo.rsqrt %[[S]]
// CHECK-NEXT:    %[[Q:.*]] = stablehlo.constant dense<2.500000e-01>
// CHECK-NEXT:    %[[U:.*]] = stablehlo.multiply %[[R]], %[[Q]]
// CHECK-NEXT:    %[[Y:.*]] = stablehlo.select %[[L]], %[[U]], %[[R]]
// CHECK-NEXT:    return %[[Y]]
module attributes {ditto.stage = "cast"} {
  func.func @root(%x: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: 1.0e-3, 1.0e6>}) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.rsqrt %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// A divisor that may be negative is compared by its magnitude.
// CHECK-LABEL: func.func @quotient(
// CHECK:         %[[A:.*]] = stablehlo.abs %arg1
// CHECK:         stablehlo.compare GE, %[[A]],
// CHECK:         %[[S:.*]] = stablehlo.select
// CHECK-NEXT:    stablehlo.divide %arg0, %[[S]]
module attributes {ditto.stage = "cast"} {
  func.func @quotient(%x: tensor<4xf32, #ditto.fxp<64, 18>>, %y: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -9.0e5, 9.0e5>}) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.divide %x, %y : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// log(1 + x) of large arguments is the logarithm of the sum, and the measured range moves to the new result.
// CHECK-LABEL: func.func @logarithm_of_a_sum(
// CHECK:         %[[S:.*]] = stablehlo.add %arg0
// CHECK:         stablehlo.compare GE, %[[S]],
// CHECK:         stablehlo.log
// CHECK:         stablehlo.select %{{.*}} {ditto.range = array<f64: 0.000000e+00, 1.400000e+01>}
// CHECK-NOT:     stablehlo.log_plus_one
module attributes {ditto.stage = "cast"} {
  func.func @logarithm_of_a_sum(%x: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: 0.0, 1.0e6>}) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.log_plus_one %x {ditto.range = array<f64: 0.0, 14.0>} : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Left to the engine: arguments in the domain or unknown, and what everybody sees.
// CHECK-LABEL: func.func @left_alone(
// CHECK-NEXT:    stablehlo.rsqrt %arg0
// CHECK-NEXT:    stablehlo.log %arg1
// CHECK-NEXT:    stablehlo.divide %arg1, %arg0
// CHECK-NEXT:    stablehlo.exponential %arg2
// CHECK-NEXT:    return
module attributes {ditto.stage = "cast"} {
  func.func @left_alone(%x: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: 1.0, 1.0e5>}, %y: tensor<4xf32, #ditto.fxp<64, 18>>, %p: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.visibility = "public"}) -> (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) {
    %0 = stablehlo.rsqrt %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.log %y : tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.divide %y, %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %3 = stablehlo.exponential %p : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0, %1, %2, %3 : tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Functions in loops are written out where they stand.
// CHECK-LABEL: func.func @in_a_loop(
// CHECK:         stablehlo.while
// CHECK:         do {
// CHECK:           stablehlo.maximum
// CHECK-NOT:       stablehlo.exponential
// CHECK:           stablehlo.return
module attributes {ditto.stage = "cast"} {
  func.func @in_a_loop(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.while(%a = %x) : tensor<4xf32, #ditto.fxp<64, 18>>
    cond {
      %f = stablehlo.constant dense<false> : tensor<i1, #ditto.int<64>>
      stablehlo.return %f : tensor<i1, #ditto.int<64>>
    } do {
      %b = stablehlo.exponential %a : tensor<4xf32, #ditto.fxp<64, 18>>
      stablehlo.return %b : tensor<4xf32, #ditto.fxp<64, 18>>
    }
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// What is left of the dividend is divided once more, and a multiple that falls just short is one still.
// CHECK-LABEL: func.func @remainder(
// CHECK:         %[[A:.*]] = stablehlo.abs %arg0
// CHECK-NEXT:    %[[B:.*]] = stablehlo.abs %arg1
// CHECK-NEXT:    %[[Q:.*]] = stablehlo.divide %[[A]], %[[B]]
// CHECK-NEXT:    %[[F:.*]] = stablehlo.floor %[[Q]]
// CHECK:         %[[P:.*]] = stablehlo.divide %{{.*}}, %[[B]]
// CHECK-NEXT:    %[[G:.*]] = stablehlo.floor %[[P]]
// CHECK-NEXT:    stablehlo.add %[[F]], %[[G]]
// CHECK:         stablehlo.compare GE, %{{.*}}, %[[B]]
// CHECK-NOT:     stablehlo.remainder
// CHECK:         return
module attributes {ditto.stage = "cast"} {
  func.func @remainder(%x: tensor<4xf32, #ditto.fxp<64, 18>>, %y: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.remainder %x, %y : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
