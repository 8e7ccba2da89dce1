// RUN: ditto-opt %s --split-input-file --verify-diagnostics --legalize-chlo

// Both are reported.
func.func @shapes_that_do_not_fit(%x: tensor<4xf32>, %y: tensor<3xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{[legalize-chlo] 'chlo.broadcast_add' op: it cannot be expanded:}}
  %0 = chlo.broadcast_add %x, %y : (tensor<4xf32>, tensor<3xf32>) -> tensor<4xf32>
  // expected-error @+1 {{size of operand dimension 0 (3) is not compatible with size of result dimension 0 (4)}}
  %1 = chlo.broadcast_multiply %0, %y : (tensor<4xf32>, tensor<3xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

func.func @shift_of_floats(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'chlo.broadcast_shift_left' op: it cannot be expanded: 'stablehlo.shift_left' op operand #0 must be}}
  %0 = chlo.broadcast_shift_left %x, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @dimensions_that_do_not_exist(%x: tensor<4xf32>, %y: tensor<f32>) -> tensor<4xf32> {
  // expected-warning @+2 {{unsupported non prefix-padded dynamic rank broadcast_dimensions = 7}}
  // expected-error @+1 {{'chlo.broadcast_add' op: it cannot be expanded: failed to legalize operation 'chlo.broadcast_add'}}
  %0 = chlo.broadcast_add %x, %y {broadcast_dimensions = array<i64: 7>} : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
