// RUN: ditto-opt %s --split-input-file --ditto-fold-constants | filecheck %s
// RUN: ditto-opt %s --split-input-file --ditto-fold-constants='max-elements=4' | filecheck %s --check-prefix=SMALL
// RUN: ditto-opt %s --split-input-file --ditto-fold-constants='foreign-only=true' | filecheck %s --check-prefix=FOREIGN

// The square root of the largest float does not fit fixed point, but it need not: it is known.
// CHECK-LABEL: func.func @scalars(
// CHECK-NOT:     stablehlo.sqrt
// CHECK:         %[[C:.*]] = stablehlo.constant dense<1.84467{{[0-9]*}}E+19> : tensor<f32>
// CHECK:         stablehlo.compare GE, %arg0, %[[C]]
func.func @scalars(%x: tensor<f32>) -> tensor<i1> {
  %0 = stablehlo.constant dense<3.40282347E+38> : tensor<f32>
  %1 = stablehlo.sqrt %0 : tensor<f32>
  %2 = stablehlo.compare GE, %x, %1 : (tensor<f32>, tensor<f32>) -> tensor<i1>
  return %2 : tensor<i1>
}

// -----

// Tables are computed as the front end would, up to a size.
// CHECK-LABEL: func.func @tables(
// CHECK-NOT:     stablehlo.sine
// CHECK:         stablehlo.constant dense<[0.000000e+00, 0.84147{{.*}}]> : tensor<8xf32>
// SMALL-LABEL: func.func @tables(
// SMALL:         stablehlo.sine
// SMALL-NOT:     stablehlo.power
func.func @tables(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %0 = stablehlo.iota dim = 0 : tensor<8xf32>
  %1 = stablehlo.sine %0 : tensor<8xf32>
  %two = stablehlo.constant dense<2.0> : tensor<8xf32>
  %same = stablehlo.power %two, %two : tensor<8xf32>
  %2 = stablehlo.add %x, %1 : tensor<8xf32>
  %3 = stablehlo.add %x, %same : tensor<8xf32>
  return %2, %3 : tensor<8xf32>, tensor<8xf32>
}

// -----

// What is only moved, or depends on an argument, stays.
// CHECK-LABEL: func.func @near_misses(
// CHECK:         stablehlo.iota
// CHECK:         stablehlo.broadcast_in_dim
// CHECK:         stablehlo.sine %arg0
func.func @near_misses(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = stablehlo.iota dim = 0 : tensor<4xf32>
  %one = stablehlo.constant dense<1.0> : tensor<f32>
  %ones = stablehlo.broadcast_in_dim %one, dims = [] : (tensor<f32>) -> tensor<4xf32>
  %1 = stablehlo.sine %x : tensor<4xf32>
  %2 = stablehlo.add %1, %0 : tensor<4xf32>
  %3 = stablehlo.add %x, %ones : tensor<4xf32>
  return %2, %3 : tensor<4xf32>, tensor<4xf32>
}

// -----

// A loop on constants runs now.
// CHECK-LABEL: func.func @loops(
// CHECK-NOT:     stablehlo.while
// CHECK:         stablehlo.constant dense<10> : tensor<i32>
func.func @loops(%x: tensor<i32>) -> tensor<i32> {
  %start = stablehlo.constant dense<0> : tensor<i32>
  %end = stablehlo.constant dense<10> : tensor<i32>
  %one = stablehlo.constant dense<1> : tensor<i32>
  %0 = stablehlo.while(%i = %start) : tensor<i32>
   cond {
    %c = stablehlo.compare LT, %i, %end : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %c : tensor<i1>
  } do {
    %next = stablehlo.add %i, %one : tensor<i32>
    stablehlo.return %next : tensor<i32>
  }
  %1 = stablehlo.add %x, %0 : tensor<i32>
  return %1 : tensor<i32>
}

// -----

// What has no elements is a constant, whatever it would be computed from; a sum over nothing is a number.
// CHECK-LABEL: func.func @nothing(
// CHECK-NOT:     stablehlo.multiply
// CHECK:         %[[E:.*]] = stablehlo.constant dense<> : tensor<0x3xf32>
// CHECK:         %[[S:.*]] = stablehlo.constant dense<0.000000e+00> : tensor<3xf32>
// CHECK:         return %[[E]], %[[S]]
func.func @nothing(%x: tensor<0x3xf32>) -> (tensor<0x3xf32>, tensor<3xf32>) {
  %z = stablehlo.constant dense<0.0> : tensor<f32>
  %0 = stablehlo.multiply %x, %x : tensor<0x3xf32>
  %1 = stablehlo.reduce(%0 init: %z) applies stablehlo.add across dimensions = [0] : (tensor<0x3xf32>, tensor<f32>) -> tensor<3xf32>
  return %0, %1 : tensor<0x3xf32>, tensor<3xf32>
}

// -----

// A counter, too: it crashes the engine.
// CHECK-LABEL: func.func @no_counters(
// CHECK-NOT:     stablehlo.iota
// CHECK:         stablehlo.constant dense<> : tensor<0xi32>
func.func @no_counters() -> tensor<0xi32> {
  %0 = stablehlo.iota dim = 0 : tensor<0xi32>
  return %0 : tensor<0xi32>
}

// -----

// The largest integer that there is.
// CHECK-LABEL: func.func @largest(
// CHECK:         stablehlo.constant dense<18446744073709551615> : tensor<3xui64>
func.func @largest() -> tensor<3xui64> {
  %0 = stablehlo.constant dense<1> : tensor<3xui64>
  %1 = stablehlo.negate %0 : tensor<3xui64>
  return %1 : tensor<3xui64>
}

// -----

// Of the bits of floats XLA knows more than anybody here, and of what is computed of them; the rest can wait.
// CHECK-LABEL: func.func @bits(
// CHECK-NOT:     stablehlo.sqrt
// CHECK-NOT:     stablehlo.bitcast_convert
// FOREIGN-LABEL: func.func @bits(
// FOREIGN:       %[[ROOT:.*]] = stablehlo.sqrt
// FOREIGN:       %[[ONE:.*]] = stablehlo.constant dense<-1.000000e+00> : tensor<f32>
// FOREIGN-NOT:   stablehlo.bitcast_convert
// FOREIGN:       return %[[ROOT]], %[[ONE]]
func.func @bits() -> (tensor<f32>, tensor<f32>) {
  %two = stablehlo.constant dense<2.0> : tensor<f32>
  %root = stablehlo.sqrt %two : tensor<f32>
  %c = stablehlo.constant dense<1065353216> : tensor<i32>
  %0 = stablehlo.bitcast_convert %c : (tensor<i32>) -> tensor<f32>
  %1 = stablehlo.negate %0 : tensor<f32>
  return %root, %1 : tensor<f32>, tensor<f32>
}

// -----

// Booleans that differ, of which some versions of MLIR take eight in a byte and others one.
// CHECK-LABEL: func.func @lower_triangle(
// CHECK:         stablehlo.constant dense<{{\[\[}}true, false], [true, true]]> : tensor<2x2xi1>
func.func @lower_triangle() -> tensor<2x2xi1> {
  %rows = stablehlo.iota dim = 0 : tensor<2x2xi32>
  %columns = stablehlo.iota dim = 1 : tensor<2x2xi32>
  %0 = stablehlo.compare GE, %rows, %columns : (tensor<2x2xi32>, tensor<2x2xi32>) -> tensor<2x2xi1>
  return %0 : tensor<2x2xi1>
}
