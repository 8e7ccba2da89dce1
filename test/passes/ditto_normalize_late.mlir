// RUN: ditto-opt %s --split-input-file --ditto-normalize-late | filecheck %s

// Attention: 1/sum of a row is applied to 2 x 8 x 4 results instead of 2 x 8 x 16 weights.
// CHECK-LABEL: func.func @attention(
// CHECK-NEXT:    %[[P:.*]] = stablehlo.dot_general %arg0, %arg2, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<2x8x16xf32>, tensor<2x16x4xf32>) -> tensor<2x8x4xf32>
// CHECK-NEXT:    %[[R:.*]] = stablehlo.broadcast_in_dim %arg1, dims = [0, 1] : (tensor<2x8xf32>) -> tensor<2x8x4xf32>
// CHECK-NEXT:    %[[S:.*]] = stablehlo.multiply %[[P]], %[[R]]
// CHECK:         return %[[S]]
func.func @attention(%e: tensor<2x8x16xf32>, %r: tensor<2x8xf32>, %v: tensor<2x16x4xf32>) -> tensor<2x8x4xf32> {
  %0 = stablehlo.broadcast_in_dim %r, dims = [0, 1] : (tensor<2x8xf32>) -> tensor<2x8x16xf32>
  %1 = stablehlo.multiply %e, %0 : tensor<2x8x16xf32>
  %2 = stablehlo.dot_general %1, %v, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<2x8x16xf32>, tensor<2x16x4xf32>) -> tensor<2x8x4xf32>
  return %2 : tensor<2x8x4xf32>
}

// -----

// On the right the free dimensions come last, here behind two of the left; the factor stands on the left, and has
// dimensions of extent 1.
// CHECK-LABEL: func.func @right(
// CHECK-NEXT:    %[[R:.*]] = stablehlo.reshape %arg1 : (tensor<8x1xf32>) -> tensor<8xf32>
// CHECK-NEXT:    %[[P:.*]] = stablehlo.dot_general %arg2, %arg0, contracting_dims = [2] x [1] : (tensor<2x1x32xf32>, tensor<8x32xf32>) -> tensor<2x1x8xf32>
// CHECK-NEXT:    %[[B:.*]] = stablehlo.broadcast_in_dim %[[R]], dims = [2] : (tensor<8xf32>) -> tensor<2x1x8xf32>
// CHECK-NEXT:    stablehlo.multiply %[[P]], %[[B]]
func.func @right(%e: tensor<8x32xf32>, %r: tensor<8x1xf32>, %v: tensor<2x1x32xf32>) -> tensor<2x1x8xf32> {
  %0 = stablehlo.broadcast_in_dim %r, dims = [0, 1] : (tensor<8x1xf32>) -> tensor<8x32xf32>
  %1 = stablehlo.multiply %0, %e : tensor<8x32xf32>
  %2 = stablehlo.dot_general %v, %1, contracting_dims = [2] x [1] : (tensor<2x1x32xf32>, tensor<8x32xf32>) -> tensor<2x1x8xf32>
  return %2 : tensor<2x1x8xf32>
}

// -----

// Both sides may be scaled.
// CHECK-LABEL: func.func @both(
// CHECK-NEXT:    %[[P:.*]] = stablehlo.dot_general %arg0, %arg1, contracting_dims = [1] x [1]
// CHECK-NEXT:    %[[R:.*]] = stablehlo.broadcast_in_dim %arg3, dims = [1] : (tensor<4xf32>) -> tensor<4x4xf32>
// CHECK-NEXT:    %[[S:.*]] = stablehlo.multiply %[[P]], %[[R]]
// CHECK-NEXT:    %[[L:.*]] = stablehlo.broadcast_in_dim %arg2, dims = [0] : (tensor<4xf32>) -> tensor<4x4xf32>
// CHECK-NEXT:    stablehlo.multiply %[[S]], %[[L]]
func.func @both(%x: tensor<4x32xf32>, %y: tensor<4x32xf32>, %r: tensor<4xf32>, %s: tensor<4xf32>) -> tensor<4x4xf32> {
  %0 = stablehlo.broadcast_in_dim %r, dims = [0] : (tensor<4xf32>) -> tensor<4x32xf32>
  %1 = stablehlo.multiply %x, %0 : tensor<4x32xf32>
  %2 = stablehlo.broadcast_in_dim %s, dims = [0] : (tensor<4xf32>) -> tensor<4x32xf32>
  %3 = stablehlo.multiply %y, %2 : tensor<4x32xf32>
  %4 = stablehlo.dot_general %1, %3, contracting_dims = [1] x [1] : (tensor<4x32xf32>, tensor<4x32xf32>) -> tensor<4x4xf32>
  return %4 : tensor<4x4xf32>
}

// -----

// The factor runs along what is contracted.
// CHECK-LABEL: func.func @of_columns(
// CHECK:         %[[S:.*]] = stablehlo.multiply
// CHECK-NEXT:    stablehlo.dot_general %[[S]], %arg2
func.func @of_columns(%e: tensor<8x16xf32>, %r: tensor<16xf32>, %v: tensor<16x4xf32>) -> tensor<8x4xf32> {
  %0 = stablehlo.broadcast_in_dim %r, dims = [1] : (tensor<16xf32>) -> tensor<8x16xf32>
  %1 = stablehlo.multiply %e, %0 : tensor<8x16xf32>
  %2 = stablehlo.dot_general %1, %v, contracting_dims = [1] x [0] : (tensor<8x16xf32>, tensor<16x4xf32>) -> tensor<8x4xf32>
  return %2 : tensor<8x4xf32>
}

// -----

// The product is no smaller than what is scaled.
// CHECK-LABEL: func.func @wide(
// CHECK:         %[[S:.*]] = stablehlo.multiply
// CHECK-NEXT:    stablehlo.dot_general %[[S]], %arg2
func.func @wide(%e: tensor<8x16xf32>, %r: tensor<8xf32>, %v: tensor<16x16xf32>) -> tensor<8x16xf32> {
  %0 = stablehlo.broadcast_in_dim %r, dims = [0] : (tensor<8xf32>) -> tensor<8x16xf32>
  %1 = stablehlo.multiply %e, %0 : tensor<8x16xf32>
  %2 = stablehlo.dot_general %1, %v, contracting_dims = [1] x [0] : (tensor<8x16xf32>, tensor<16x16xf32>) -> tensor<8x16xf32>
  return %2 : tensor<8x16xf32>
}

// -----

// The scaled rows are wanted themselves.
// CHECK-LABEL: func.func @used_twice(
// CHECK:         %[[S:.*]] = stablehlo.multiply
// CHECK-NEXT:    stablehlo.dot_general %[[S]], %arg2
func.func @used_twice(%e: tensor<8x16xf32>, %r: tensor<8xf32>, %v: tensor<16x4xf32>) -> (tensor<8x4xf32>, tensor<8x16xf32>) {
  %0 = stablehlo.broadcast_in_dim %r, dims = [0] : (tensor<8xf32>) -> tensor<8x16xf32>
  %1 = stablehlo.multiply %e, %0 : tensor<8x16xf32>
  %2 = stablehlo.dot_general %1, %v, contracting_dims = [1] x [0] : (tensor<8x16xf32>, tensor<16x4xf32>) -> tensor<8x4xf32>
  return %2, %1 : tensor<8x4xf32>, tensor<8x16xf32>
}

// -----

// A public factor costs nothing where it is, and a pinned product is meant to be there.
// CHECK-LABEL: func.func @public_or_pinned(
// CHECK:         %[[S:.*]] = stablehlo.multiply
// CHECK-NEXT:    stablehlo.dot_general %[[S]], %arg2
// CHECK:         %[[P:.*]] = stablehlo.multiply {{.*}}ditto.ring
// CHECK-NEXT:    stablehlo.dot_general %[[P]], %arg2
func.func @public_or_pinned(%e: tensor<8x16xf32>, %r: tensor<8xf32> {ditto.visibility = "public"}, %v: tensor<16x4xf32>, %s: tensor<8xf32>) -> (tensor<8x4xf32>, tensor<8x4xf32>) {
  %0 = stablehlo.broadcast_in_dim %r, dims = [0] : (tensor<8xf32>) -> tensor<8x16xf32>
  %1 = stablehlo.multiply %e, %0 : tensor<8x16xf32>
  %2 = stablehlo.dot_general %1, %v, contracting_dims = [1] x [0] : (tensor<8x16xf32>, tensor<16x4xf32>) -> tensor<8x4xf32>
  %3 = stablehlo.broadcast_in_dim %s, dims = [0] : (tensor<8xf32>) -> tensor<8x16xf32>
  %4 = stablehlo.multiply %e, %3 {ditto.ring = 64 : i32} : tensor<8x16xf32>
  %5 = stablehlo.dot_general %4, %v, contracting_dims = [1] x [0] : (tensor<8x16xf32>, tensor<16x4xf32>) -> tensor<8x4xf32>
  return %2, %5 : tensor<8x4xf32>, tensor<8x4xf32>
}

// -----

// Heads that share their values are rows of one product.
// CHECK-LABEL: func.func @grouped(
// CHECK-NEXT:    %[[E:.*]] = stablehlo.reshape %arg0 : (tensor<4x8x16xf32>) -> tensor<2x16x16xf32>
// CHECK-NEXT:    %[[B:.*]] = stablehlo.broadcast_in_dim %arg1, dims = [1, 0] : (tensor<8x4xf32>) -> tensor<4x8xf32>
// CHECK-NEXT:    %[[F:.*]] = stablehlo.reshape %[[B]] : (tensor<4x8xf32>) -> tensor<2x16xf32>
// CHECK-NEXT:    %[[P:.*]] = stablehlo.dot_general %[[E]], %arg2, batching_dims = [0] x [0], contracting_dims = [2] x [1]
// CHECK-NEXT:    %[[R:.*]] = stablehlo.broadcast_in_dim %[[F]], dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x4xf32>
// CHECK-NEXT:    %[[S:.*]] = stablehlo.multiply %[[P]], %[[R]]
// CHECK-NEXT:    return %[[S]]
func.func @grouped(%e: tensor<4x8x16xf32>, %r: tensor<8x4xf32>, %v: tensor<2x16x4xf32>) -> tensor<2x16x4xf32> {
  %0 = stablehlo.broadcast_in_dim %r, dims = [1, 0] : (tensor<8x4xf32>) -> tensor<4x8x16xf32>
  %1 = stablehlo.multiply %e, %0 : tensor<4x8x16xf32>
  %2 = stablehlo.reshape %1 : (tensor<4x8x16xf32>) -> tensor<2x16x16xf32>
  %3 = stablehlo.dot_general %2, %v, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<2x16x16xf32>, tensor<2x16x4xf32>) -> tensor<2x16x4xf32>
  return %3 : tensor<2x16x4xf32>
}

// -----

// The reshape takes what is contracted apart.
// CHECK-LABEL: func.func @split(
// CHECK:         %[[S:.*]] = stablehlo.multiply
// CHECK-NEXT:    %[[R:.*]] = stablehlo.reshape %[[S]]
// CHECK-NEXT:    stablehlo.dot_general %[[R]], %arg2
func.func @split(%e: tensor<8x16xf32>, %r: tensor<8xf32>, %v: tensor<8x2xf32>) -> tensor<16x2xf32> {
  %0 = stablehlo.broadcast_in_dim %r, dims = [0] : (tensor<8xf32>) -> tensor<8x16xf32>
  %1 = stablehlo.multiply %e, %0 : tensor<8x16xf32>
  %2 = stablehlo.reshape %1 : (tensor<8x16xf32>) -> tensor<16x8xf32>
  %3 = stablehlo.dot_general %2, %v, contracting_dims = [1] x [0] : (tensor<16x8xf32>, tensor<8x2xf32>) -> tensor<16x2xf32>
  return %3 : tensor<16x2xf32>
}
