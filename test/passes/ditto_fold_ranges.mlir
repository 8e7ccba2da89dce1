// RUN: ditto-opt %s --split-input-file --pass-pipeline='builtin.module(ditto-fold-ranges,cse)' | filecheck %s

// An input is a number, so neither NaN nor infinite.
// CHECK-LABEL: func.func @numbers(
// CHECK-NOT:     stablehlo.compare
// CHECK-NOT:     stablehlo.is_finite
// CHECK:         return %arg0, %arg0, %arg0, %arg0
func.func @numbers(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %zero = stablehlo.constant dense<0.0> : tensor<4xf32>
  %inf = stablehlo.constant dense<0x7F800000> : tensor<4xf32>
  %minf = stablehlo.constant dense<0xFF800000> : tensor<4xf32>
  %0 = stablehlo.compare NE, %x, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi1>
  %1 = stablehlo.select %0, %zero, %x : tensor<4xi1>, tensor<4xf32>
  %2 = stablehlo.is_finite %x : (tensor<4xf32>) -> tensor<4xi1>
  %3 = stablehlo.select %2, %1, %zero : tensor<4xi1>, tensor<4xf32>
  %a = stablehlo.abs %x : tensor<4xf32>
  %4 = stablehlo.compare EQ, %a, %inf : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi1>
  %5 = stablehlo.select %4, %zero, %x : tensor<4xi1>, tensor<4xf32>
  %6 = stablehlo.maximum %x, %minf : tensor<4xf32>
  %7 = stablehlo.minimum %inf, %6 : tensor<4xf32>
  return %1, %3, %5, %7 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

// A huge number is none beyond all others, and other bounds are kept.
// CHECK-LABEL: func.func @near_misses(
// CHECK:         stablehlo.compare LT, %arg0
// CHECK:         stablehlo.maximum %arg0
// CHECK:         stablehlo.compare NE, %arg0, %arg1
func.func @near_misses(%x: tensor<4xf32>, %y: tensor<4xf32>) -> (tensor<4xi1>, tensor<4xf32>, tensor<4xi1>) {
  %huge = stablehlo.constant dense<1.0e30> : tensor<4xf32>
  %0 = stablehlo.compare LT, %x, %huge : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi1>
  %least = stablehlo.constant dense<-1.0e30> : tensor<4xf32>
  %1 = stablehlo.maximum %x, %least : tensor<4xf32>
  %2 = stablehlo.compare NE, %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi1>
  return %0, %1, %2 : tensor<4xi1>, tensor<4xf32>, tensor<4xi1>
}

// -----

// Predicates that ranges decide.
// CHECK-LABEL: func.func @decided(
// CHECK-NOT:     stablehlo.compare
// CHECK:         %[[T:.*]] = stablehlo.tanh %arg0
// CHECK:         return %[[T]]
func.func @decided(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  %two = stablehlo.constant dense<2.0> : tensor<4xf32>
  %1 = stablehlo.compare LT, %0, %two : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi1>
  %2 = stablehlo.select %1, %0, %two : tensor<4xi1>, tensor<4xf32>
  return %2 : tensor<4xf32>
}

// -----

// Beside a mask, is_finite asks for what stands for infinity.
// CHECK-LABEL: func.func @masked(
// CHECK:         %[[S:.*]] = stablehlo.select %arg1, %arg0
// CHECK:         stablehlo.compare GT, %[[S]], {{.*}} FLOAT
func.func @masked(%x: tensor<4xf32>, %mask: tensor<4xi1>) -> tensor<4xi1> {
  %least = stablehlo.constant dense<0xFF800000> : tensor<4xf32>
  %0 = stablehlo.select %mask, %x, %least : tensor<4xi1>, tensor<4xf32>
  %1 = stablehlo.is_finite %0 : (tensor<4xf32>) -> tensor<4xi1>
  return %1 : tensor<4xi1>
}

// -----

// Whether a quotient is a number is not asked of shares (ditto-opt prints the warning with --remarks).
// CHECK-LABEL: func.func @quotient(
// CHECK:         %[[C:.*]] = stablehlo.constant dense<true>
// CHECK:         return %[[C]]
func.func @quotient(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xi1> {
  %0 = stablehlo.divide %x, %y : tensor<4xf32>
  %1 = stablehlo.is_finite %0 : (tensor<4xf32>) -> tensor<4xi1>
  return %1 : tensor<4xi1>
}
