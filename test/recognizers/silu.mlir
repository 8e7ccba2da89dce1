// RUN: ditto-opt %s --inline-calls --legalize-chlo --canonicalize --cse --ditto-approximate='silu=quartic' | filecheck %s
// jax.nn.silu; jax 0.4.34; by test/recognizers/capture.py.
// Functions: silu

// CHECK-LABEL: func.func public @main(
// CHECK-NOT: stablehlo.exponential
// CHECK-NOT: stablehlo.divide
module @jit_silu attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<2x8xf32> {mhlo.layout_mode = "default"}) -> (tensor<2x8xf32> {jax.result_info = "", mhlo.layout_mode = "default"}) {
    %0 = call @silu(%arg0) : (tensor<2x8xf32>) -> tensor<2x8xf32>
    return %0 : tensor<2x8xf32>
  }
  func.func private @silu(%arg0: tensor<2x8xf32> {mhlo.layout_mode = "default"}) -> (tensor<2x8xf32> {mhlo.layout_mode = "default"}) {
    %0 = stablehlo.negate %arg0 : tensor<2x8xf32>
    %1 = stablehlo.exponential %0 : tensor<2x8xf32>
    %cst = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %2 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<2x8xf32>
    %3 = stablehlo.add %2, %1 : tensor<2x8xf32>
    %cst_0 = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %4 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<f32>) -> tensor<2x8xf32>
    %5 = stablehlo.divide %4, %3 : tensor<2x8xf32>
    %6 = stablehlo.multiply %arg0, %5 : tensor<2x8xf32>
    return %6 : tensor<2x8xf32>
  }
}
