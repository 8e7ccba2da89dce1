// RUN: ditto-opt %s --split-input-file --ditto-approximate='gelu=quad' --report-unmatched --verify-diagnostics

// What is replaced, and what everybody sees, needs no remark; nor does a division by a constant.
func.func @left_exact(%x: tensor<4xf32>, %p: tensor<4xf32> {ditto.visibility = "public"}) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %three = stablehlo.constant dense<3.0> : tensor<4xf32>
  // expected-remark @+1 {{[ditto-approximate] 'stablehlo.exponential' op: stays exact: it belongs to no function that was recognised}}
  %0 = stablehlo.exponential %x : tensor<4xf32>
  %1 = stablehlo.divide %0, %three : tensor<4xf32>
  // expected-remark @+1 {{[ditto-approximate] 'stablehlo.tanh' op: stays exact: it belongs to tanh, whose form is exact}}
  %2 = stablehlo.tanh %x : tensor<4xf32>
  %3 = stablehlo.exponential %p : tensor<4xf32>
  return %1, %2, %3 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

func.func @replaced(%x: tensor<4xf32>) -> tensor<4xf32> {
  %half = stablehlo.constant dense<0.5> : tensor<4xf32>
  %root = stablehlo.constant dense<-0.707106769> : tensor<4xf32>
  %0 = stablehlo.multiply %x, %root : tensor<4xf32>
  %1 = chlo.erfc %0 : tensor<4xf32> -> tensor<4xf32>
  %2 = stablehlo.multiply %x, %half : tensor<4xf32>
  %3 = stablehlo.multiply %2, %1 : tensor<4xf32>
  return %3 : tensor<4xf32>
}

// -----

func.func @belongs_to_softmax(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  // expected-remark @+1 {{it belongs to softmax, whose form is exact}}
  %0 = stablehlo.exponential %x : tensor<2x8xf32>
  %1 = stablehlo.reduce(%0 init: %zero) applies stablehlo.add across dimensions = [1] : (tensor<2x8xf32>, tensor<f32>) -> tensor<2xf32>
  %2 = stablehlo.broadcast_in_dim %1, dims = [0] : (tensor<2xf32>) -> tensor<2x8xf32>
  // expected-remark @+1 {{it belongs to softmax, whose form is exact}}
  %3 = stablehlo.divide %0, %2 : tensor<2x8xf32>
  return %3 : tensor<2x8xf32>
}
