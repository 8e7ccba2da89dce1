// RUN: ditto-opt %s --inline-calls --legalize-chlo --canonicalize --cse --ditto-approximate='gelu=quartic' | filecheck %s
// jax.nn.gelu, exact; jax 0.4.34; by test/recognizers/capture.py.
// Functions: gelu

// CHECK-LABEL: func.func public @main(
// CHECK-NOT: chlo.erf
module @jit__unnamed_wrapped_function_ attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<2x8xf32> {mhlo.layout_mode = "default"}) -> (tensor<2x8xf32> {jax.result_info = "", mhlo.layout_mode = "default"}) {
    %cst = stablehlo.constant dense<5.000000e-01> : tensor<f32>
    %0 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<2x8xf32>
    %1 = stablehlo.multiply %0, %arg0 : tensor<2x8xf32>
    %2 = stablehlo.negate %arg0 : tensor<2x8xf32>
    %cst_0 = stablehlo.constant dense<0.707106769> : tensor<f32>
    %3 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<f32>) -> tensor<2x8xf32>
    %4 = stablehlo.multiply %2, %3 : tensor<2x8xf32>
    %5 = chlo.erfc %4 : tensor<2x8xf32> -> tensor<2x8xf32>
    %6 = stablehlo.multiply %1, %5 : tensor<2x8xf32>
    return %6 : tensor<2x8xf32>
  }
}
