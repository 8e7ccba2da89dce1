// RUN: ditto-opt %s --split-input-file --ditto-approximate='gelu=quad softmax=2relu division=reciprocal tanh=exact' | filecheck %s

// One division a row, and a product an element.
// CHECK-LABEL: func.func @division_by_a_row(
// CHECK:         %[[R:.*]] = stablehlo.divide %{{.*}}, %arg1 : tensor<4xf32>
// CHECK-NEXT:    %[[B:.*]] = stablehlo.broadcast_in_dim %[[R]], dims = [0]
// CHECK-NEXT:    stablehlo.multiply %arg0, %[[B]]
func.func @division_by_a_row(%x: tensor<4x8xf32>, %y: tensor<4xf32>) -> tensor<4x8xf32> {
  %0 = stablehlo.broadcast_in_dim %y, dims = [0] : (tensor<4xf32>) -> tensor<4x8xf32>
  %1 = stablehlo.divide %x, %0 : tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}

// -----

// CHECK-LABEL: func.func @division_by_an_element_stays(
// CHECK-NEXT:    stablehlo.divide %arg0, %arg1 : tensor<4x8xf32>
func.func @division_by_an_element_stays(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = stablehlo.divide %x, %y : tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// -----

// CHECK-LABEL: func.func @gelu_by_erf(
// CHECK-NOT:     chlo.erf
// CHECK:         return
func.func @gelu_by_erf(%x: tensor<4xf32>) -> tensor<4xf32> {
  %half = stablehlo.constant dense<0.5> : tensor<4xf32>
  %one = stablehlo.constant dense<1.0> : tensor<4xf32>
  %r = stablehlo.constant dense<0.707106769> : tensor<4xf32>
  %0 = stablehlo.multiply %x, %r : tensor<4xf32>
  %1 = chlo.erf %0 : tensor<4xf32> -> tensor<4xf32>
  %2 = stablehlo.add %1, %one : tensor<4xf32>
  %3 = stablehlo.multiply %x, %half : tensor<4xf32>
  %4 = stablehlo.multiply %3, %2 : tensor<4xf32>
  return %4 : tensor<4xf32>
}

// -----

// The same with another constant inside the erf is some other function.
// CHECK-LABEL: func.func @not_quite_gelu(
// CHECK:         chlo.erf
func.func @not_quite_gelu(%x: tensor<4xf32>) -> tensor<4xf32> {
  %half = stablehlo.constant dense<0.5> : tensor<4xf32>
  %one = stablehlo.constant dense<1.0> : tensor<4xf32>
  %r = stablehlo.constant dense<0.8> : tensor<4xf32>
  %0 = stablehlo.multiply %x, %r : tensor<4xf32>
  %1 = chlo.erf %0 : tensor<4xf32> -> tensor<4xf32>
  %2 = stablehlo.add %1, %one : tensor<4xf32>
  %3 = stablehlo.multiply %x, %half : tensor<4xf32>
  %4 = stablehlo.multiply %3, %2 : tensor<4xf32>
  return %4 : tensor<4xf32>
}

// -----

// CHECK-LABEL: func.func @what_stays_exact(
// CHECK-NEXT:    stablehlo.tanh %arg0
func.func @what_stays_exact(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
