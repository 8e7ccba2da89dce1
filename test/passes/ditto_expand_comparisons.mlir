// RUN: ditto-opt %s --split-input-file --ditto-expand-comparisons | filecheck %s
// RUN: ditto-opt %s --split-input-file --ditto-expand-comparisons='min-elements=1000' | filecheck %s --check-prefix=FEW

// FEW:     stablehlo.compare
// FEW-NOT: ditto.less

// A constant is a threshold, in units of the last place; equality says which side it is on.
// CHECK-LABEL: func.func @constants(
// CHECK:         %[[L:.*]]:2 = "ditto.less"(%arg0) {thresholds = array<i64: 1536, 1537>} : (tensor<4xf32, #ditto.fxp<32, 10>>) -> (tensor<4xi1, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>)
// CHECK-NEXT:    %[[GT:.*]] = stablehlo.not %[[L]]#1
// CHECK-NEXT:    %[[GE:.*]] = stablehlo.not %[[L]]#0
// CHECK-NEXT:    return %[[L]]#0, %[[L]]#1, %[[GT]], %[[GE]]
module attributes {ditto.stage = "cast"} {
  func.func @constants(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> (tensor<4xi1, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>) {
    %c = stablehlo.constant dense<1.5> : tensor<4xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.compare LT, %x, %c : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>>
    %1 = stablehlo.compare LE, %x, %c : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>>
    %2 = stablehlo.compare LT, %c, %x : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>>
    %3 = stablehlo.compare GE, %x, %c : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>>
    return %0, %1, %2, %3 : tensor<4xi1, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>
  }
}

// -----

// A constant is compared as it is held: rounded to the grid.
// CHECK-LABEL: func.func @off_the_grid(
// CHECK:         "ditto.less"(%arg0) {thresholds = array<i64: 2, 400>}
module attributes {ditto.stage = "cast"} {
  func.func @off_the_grid(%x: tensor<4xf32, #ditto.fxp<32, 2>>) -> (tensor<4xi1, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>) {
    %c = stablehlo.constant dense<0.3> : tensor<4xf32, #ditto.fxp<32, 2>>
    %0 = stablehlo.compare LE, %x, %c : (tensor<4xf32, #ditto.fxp<32, 2>>, tensor<4xf32, #ditto.fxp<32, 2>>) -> tensor<4xi1, #ditto.int<32>>
    %large = stablehlo.constant dense<100.1> : tensor<4xf32, #ditto.fxp<32, 2>>
    %1 = stablehlo.compare LT, %x, %large : (tensor<4xf32, #ditto.fxp<32, 2>>, tensor<4xf32, #ditto.fxp<32, 2>>) -> tensor<4xi1, #ditto.int<32>>
    return %0, %1 : tensor<4xi1, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>
  }
}

// -----

// Two secrets: the sign of their difference.
// CHECK-LABEL: func.func @secrets(
// CHECK-NEXT:    %[[D:.*]] = stablehlo.subtract %arg1, %arg0
// CHECK-NEXT:    %[[L:.*]] = "ditto.less"(%[[D]]) {thresholds = array<i64: 0>}
// CHECK-NEXT:    return %[[L]]
module attributes {ditto.stage = "cast"} {
  func.func @secrets(%x: tensor<4xf32, #ditto.fxp<64, 18>>, %y: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xi1, #ditto.int<64>> {
    %0 = stablehlo.compare GT, %x, %y : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xi1, #ditto.int<64>>
    return %0 : tensor<4xi1, #ditto.int<64>>
  }
}

// -----

// The sign of x and the end of |x| are three thresholds of x.
// CHECK-LABEL: func.func @magnitude(
// CHECK:         %[[L:.*]]:3 = "ditto.less"(%arg0) {thresholds = array<i64: -3071, 0, 3072>}
// CHECK:         %[[A:.*]] = stablehlo.select %[[L]]#1, %{{.*}}, %arg0
// CHECK:         %[[I:.*]] = stablehlo.xor %[[L]]#2, %[[L]]#0
// CHECK:         stablehlo.select %[[I]], %[[A]],
// CHECK-NOT:     stablehlo.compare
module attributes {ditto.stage = "cast"} {
  func.func @magnitude(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    %c = stablehlo.constant dense<3.0> : tensor<4xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.abs %x : tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.compare LT, %0, %c : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>>
    %2 = stablehlo.select %1, %0, %c : tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<32, 10>>
    return %2 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// So are those of |x| = (x - b) - b with b = min(x, 0).
// CHECK-LABEL: func.func @folded(
// CHECK:         "ditto.less"(%arg0) {thresholds = array<i64: -3071, 0, 3072>}
// CHECK-NOT:     ditto.less
module attributes {ditto.stage = "cast"} {
  func.func @folded(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>> {
    %z = stablehlo.constant dense<0.0> : tensor<4xf32, #ditto.fxp<32, 10>>
    %c = stablehlo.constant dense<3.0> : tensor<4xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.compare LT, %x, %z : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>>
    %1 = stablehlo.select %0, %x, %z : tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<32, 10>>
    %2 = stablehlo.subtract %x, %1 : tensor<4xf32, #ditto.fxp<32, 10>>
    %3 = stablehlo.subtract %2, %1 : tensor<4xf32, #ditto.fxp<32, 10>>
    %4 = stablehlo.compare LT, %3, %c : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>>
    return %4 : tensor<4xi1, #ditto.int<32>>
  }
}

// -----

// CHECK-LABEL: func.func @maximum(
// CHECK-NEXT:    %[[D:.*]] = stablehlo.subtract %arg0, %arg1
// CHECK-NEXT:    %[[L:.*]] = "ditto.less"(%[[D]]) {thresholds = array<i64: 0>}
// CHECK-NEXT:    %[[M:.*]] = stablehlo.select %[[L]], %arg1, %arg0
// CHECK-NEXT:    return %[[M]]
module attributes {ditto.stage = "cast"} {
  func.func @maximum(%x: tensor<4xf32, #ditto.fxp<32, 10>>, %y: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    %0 = stablehlo.maximum %x, %y : tensor<4xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// CHECK-LABEL: func.func @clamp(
// CHECK:         %[[L:.*]]:2 = "ditto.less"(%arg0) {thresholds = array<i64: -1024, 1024>}
// CHECK:         %[[H:.*]] = stablehlo.select %[[L]]#1, %arg0,
// CHECK:         stablehlo.select %[[L]]#0, %{{.*}}, %[[H]]
module attributes {ditto.stage = "cast"} {
  func.func @clamp(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    %low = stablehlo.constant dense<-1.0> : tensor<f32, #ditto.fxp<32, 10>>
    %high = stablehlo.constant dense<1.0> : tensor<f32, #ditto.fxp<32, 10>>
    %0 = stablehlo.clamp %low, %x, %high : (tensor<f32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>, tensor<f32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// The engine's own: public values, integers, equality, and what a loop compares.
// CHECK-LABEL: func.func @left_alone(
// CHECK-NOT:     ditto.less
// CHECK:         return
module attributes {ditto.stage = "cast"} {
  func.func @left_alone(%x: tensor<4xf32, #ditto.fxp<32, 10>>, %p: tensor<4xf32, #ditto.fxp<32, 10>> {ditto.visibility = "public"}, %i: tensor<4xi32, #ditto.int<32>>) -> (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xi1, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<32, 10>>) {
    %0 = stablehlo.maximum %p, %p : tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.compare LT, %i, %i : (tensor<4xi32, #ditto.int<32>>, tensor<4xi32, #ditto.int<32>>) -> tensor<4xi1, #ditto.int<32>>
    %2 = stablehlo.compare EQ, %x, %p : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>>
    %4 = stablehlo.while(%a = %x) : tensor<4xf32, #ditto.fxp<32, 10>>
    cond {
      %f = stablehlo.constant dense<false> : tensor<i1, #ditto.int<32>>
      stablehlo.return %f : tensor<i1, #ditto.int<32>>
    } do {
      %b = stablehlo.maximum %a, %x : tensor<4xf32, #ditto.fxp<32, 10>>
      stablehlo.return %b : tensor<4xf32, #ditto.fxp<32, 10>>
    }
    return %0, %1, %2, %4 : tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xi1, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<32, 10>>
  }
}
