// RUN: ditto-opt %s --split-input-file --ditto-approximate='policy=%S/../passes/Inputs/oneshot.toml' --cse --ditto-normalize-late --ditto-choose-functions | filecheck %s
// RUN: ditto-opt %s --split-input-file --ditto-approximate='policy=%S/../passes/Inputs/oneshot_alone.toml' | filecheck %s --check-prefix=ALONE

// GeLU is x/2 and an even function, of which calibration knows the arguments here. Without anything beside the engine it
// is the quartic: nothing of its own.
// CHECK-LABEL: func.func @gelu(
// CHECK:         %[[H:.*]] = stablehlo.multiply %arg0, %{{.*}}
// CHECK:         %[[E:.*]] = "ditto.oneshot"(%arg0) {error = 4.000000e-04 : f64, function = @gelu_even, high = 8.000000e+00 : f64, low = -8.000000e+00 : f64, otherwise = @gelu_even_otherwise, words = 14 : i32}
// CHECK:         %[[S:.*]] = stablehlo.add %[[H]], %[[E]]
// CHECK-NEXT:    return %[[S]]
// CHECK:       func.func private @gelu_even(%arg0: tensor<4xf32>)
// CHECK:         chlo.erf
// Of arguments that reach further it computes those around 0 so, and the others as they are.
// CHECK:       func.func private @gelu_even_otherwise(
// CHECK:         stablehlo.compare LT, %arg0, {{.*}}ditto.slack = 2.500000e-01
// CHECK:         "ditto.oneshot"(%{{.*}}) {{.*}}function = @gelu_even_inside
// ALONE-LABEL: func.func @gelu(
// ALONE:         stablehlo.compare LT, %arg0
// ALONE-NOT:     ditto.oneshot
// ALONE-NOT:   func.func private
func.func @gelu(%x: tensor<4xf32> {ditto.range = array<f64: -4.0, 4.0>}) -> tensor<4xf32> {
  %half = stablehlo.constant dense<0.5> : tensor<4xf32>
  %one = stablehlo.constant dense<1.0> : tensor<4xf32>
  %root = stablehlo.constant dense<0.707106769> : tensor<4xf32>
  %0 = stablehlo.multiply %x, %root : tensor<4xf32>
  %1 = chlo.erf %0 : tensor<4xf32> -> tensor<4xf32>
  %2 = stablehlo.add %1, %one : tensor<4xf32>
  %3 = stablehlo.multiply %x, %half : tensor<4xf32>
  %4 = stablehlo.multiply %3, %2 : tensor<4xf32>
  return %4 : tensor<4xf32>
}

// -----

// Attention: a row bound, a clip, exp where the clip has it, and 1/sum, whose argument is known by how it came about: one
// term is exp(-2) or more. The rows are scaled after the product with the values, which has fewer elements.
// CHECK-LABEL: func.func @attention(
// CHECK:         %[[M:.*]] = stablehlo.reduce(%arg0 {{.*}} stablehlo.maximum {{.*}} {ditto.slack = 2.000000e+00 : f64}
// CHECK:         %[[B:.*]] = stablehlo.broadcast_in_dim %[[M]], dims = [0]
// CHECK:         %[[D:.*]] = stablehlo.subtract %arg0, %[[B]]
// CHECK:         %[[C:.*]] = stablehlo.maximum %[[D]], %{{.*}}
// CHECK:         %[[E:.*]] = "ditto.oneshot"(%[[C]]) {error = {{.*}}, function = @exp, high = 0.001953125 : f64, low = -1.590000e+01 : f64, otherwise = @exp_otherwise}
// CHECK:         %[[S:.*]] = stablehlo.reduce(%[[E]] {{.*}} stablehlo.add
// CHECK:         %[[I:.*]] = "ditto.oneshot"(%[[S]]) {error = 1.500000e-03 : f64, function = @reciprocal, high = 8.000000e+00 : f64, low = 0.13533{{.*}} : f64, otherwise = @reciprocal_otherwise, relative}
// CHECK-NOT:     stablehlo.multiply
// CHECK:         %[[P:.*]] = stablehlo.dot_general %[[E]], %arg1
// CHECK-NEXT:    %[[F:.*]] = stablehlo.broadcast_in_dim %[[I]], dims = [0] : (tensor<16xf32>) -> tensor<16x2xf32>
// CHECK-NEXT:    %[[R:.*]] = stablehlo.multiply %[[P]], %[[F]]
// CHECK-NEXT:    return %[[R]]
// CHECK:       func.func private @exp(
// CHECK-NEXT:    stablehlo.exponential
// ALONE-LABEL: func.func @attention(
// ALONE-NOT:     ditto.slack
// ALONE:         stablehlo.compare GT, %{{.*}} {ditto.frac = 10 : i32, ditto.ring = 32 : i32}
// ALONE-NOT:     ditto.oneshot
func.func @attention(%x: tensor<16x8xf32>, %v: tensor<8x2xf32>) -> tensor<16x2xf32> {
  %low = stablehlo.constant dense<0xFF800000> : tensor<f32>
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %0 = stablehlo.reduce(%x init: %low) applies stablehlo.maximum across dimensions = [1] : (tensor<16x8xf32>, tensor<f32>) -> tensor<16xf32>
  %1 = stablehlo.broadcast_in_dim %0, dims = [0] : (tensor<16xf32>) -> tensor<16x8xf32>
  %2 = stablehlo.subtract %x, %1 : tensor<16x8xf32>
  %3 = stablehlo.exponential %2 : tensor<16x8xf32>
  %4 = stablehlo.reduce(%3 init: %zero) applies stablehlo.add across dimensions = [1] : (tensor<16x8xf32>, tensor<f32>) -> tensor<16xf32>
  %5 = stablehlo.broadcast_in_dim %4, dims = [0] : (tensor<16xf32>) -> tensor<16x8xf32>
  %6 = stablehlo.divide %3, %5 : tensor<16x8xf32>
  %7 = stablehlo.dot_general %6, %v, contracting_dims = [1] x [0] : (tensor<16x8xf32>, tensor<8x2xf32>) -> tensor<16x2xf32>
  return %7 : tensor<16x2xf32>
}

// -----

// The variance is a product of rows; the scale does not wait for it. Nothing is known of the variance, so 1/sqrt falls
// back on octaves.
// CHECK-LABEL: func.func @layer_norm(
// CHECK:         %[[C:.*]] = stablehlo.subtract %arg0, %{{.*}}
// CHECK:         %[[Q:.*]] = stablehlo.dot_general %[[C]], %[[C]], batching_dims = [0] x [0], contracting_dims = [1] x [1] {ditto.frac = 18 : i32, ditto.ring = 64 : i32} : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2xf32>
// CHECK:         %[[V:.*]] = stablehlo.multiply %[[Q]], %{{.*}}
// CHECK:         %[[W:.*]] = stablehlo.add %[[V]], %{{.*}}
// CHECK-NOT:     ditto.oneshot
// CHECK:         stablehlo.compare LT
// CHECK-NOT:     stablehlo.rsqrt
// CHECK:         %[[S:.*]] = stablehlo.multiply %[[C]], %arg1
// CHECK:         %[[R:.*]] = stablehlo.multiply %[[S]], %{{.*}}
// CHECK-NEXT:    return %[[R]]
// ALONE-LABEL: func.func @layer_norm(
// ALONE-NOT:     dot_general
// ALONE:         stablehlo.compare LT
func.func @layer_norm(%x: tensor<2x8xf32>, %scale: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %n = stablehlo.constant dense<8.0> : tensor<2xf32>
  %eps = stablehlo.constant dense<1.0e-5> : tensor<2xf32>
  %0 = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [1] : (tensor<2x8xf32>, tensor<f32>) -> tensor<2xf32>
  %1 = stablehlo.divide %0, %n : tensor<2xf32>
  %2 = stablehlo.broadcast_in_dim %1, dims = [0] : (tensor<2xf32>) -> tensor<2x8xf32>
  %3 = stablehlo.subtract %x, %2 : tensor<2x8xf32>
  %4 = stablehlo.multiply %3, %3 : tensor<2x8xf32>
  %5 = stablehlo.reduce(%4 init: %zero) applies stablehlo.add across dimensions = [1] : (tensor<2x8xf32>, tensor<f32>) -> tensor<2xf32>
  %6 = stablehlo.divide %5, %n : tensor<2xf32>
  %7 = stablehlo.add %6, %eps : tensor<2xf32>
  %8 = stablehlo.rsqrt %7 : tensor<2xf32>
  %9 = stablehlo.broadcast_in_dim %8, dims = [0] : (tensor<2xf32>) -> tensor<2x8xf32>
  %10 = stablehlo.multiply %3, %9 : tensor<2x8xf32>
  %11 = stablehlo.multiply %10, %scale : tensor<2x8xf32>
  return %11 : tensor<2x8xf32>
}

// -----

// Half precision would make the function too coarse, so it is of single.
// CHECK-LABEL: func.func @division(
// CHECK:         %[[Y:.*]] = stablehlo.convert %arg1 : (tensor<2xf16>) -> tensor<2xf32>
// CHECK-NEXT:    %[[I:.*]] = "ditto.oneshot"(%[[Y]]) {error = 1.000000e-03 : f64, function = @reciprocal, high = 8.000000e+00 : f64, low = 2.500000e-01 : f64, otherwise = @reciprocal_otherwise, relative}
// CHECK-NEXT:    %[[H:.*]] = stablehlo.convert %[[I]] : (tensor<2xf32>) -> tensor<2xf16>
// CHECK-NEXT:    %[[B:.*]] = stablehlo.broadcast_in_dim %[[H]], dims = [0]
// CHECK-NEXT:    stablehlo.multiply %arg0, %[[B]]
// ALONE-LABEL: func.func @division(
// ALONE:         stablehlo.divide %{{.*}}, %arg1 : tensor<2xf16>
func.func @division(%x: tensor<2x8xf16>, %y: tensor<2xf16> {ditto.range = array<f64: 0.5, 4.0>}) -> tensor<2x8xf16> {
  %0 = stablehlo.broadcast_in_dim %y, dims = [0] : (tensor<2xf16>) -> tensor<2x8xf16>
  %1 = stablehlo.divide %x, %0 : tensor<2x8xf16>
  return %1 : tensor<2x8xf16>
}
