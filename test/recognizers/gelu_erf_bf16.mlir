// RUN: ditto-opt %s --inline-calls --legalize-chlo --canonicalize --cse --ditto-approximate='gelu=quartic' | filecheck %s
// jax.nn.gelu, exact, in bf16; jax 0.4.34; by test/recognizers/capture.py.
// Functions: gelu

// CHECK-LABEL: func.func public @main(
// CHECK-NOT: chlo.erf
module @jit__unnamed_wrapped_function_ attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<2x8xbf16> {mhlo.layout_mode = "default"}) -> (tensor<2x8xbf16> {jax.result_info = "", mhlo.layout_mode = "default"}) {
    %cst = stablehlo.constant dense<5.000000e-01> : tensor<bf16>
    %0 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<bf16>) -> tensor<2x8xbf16>
    %1 = stablehlo.multiply %0, %arg0 : tensor<2x8xbf16>
    %2 = stablehlo.negate %arg0 : tensor<2x8xbf16>
    %cst_0 = stablehlo.constant dense<7.070310e-01> : tensor<bf16>
    %3 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<bf16>) -> tensor<2x8xbf16>
    %4 = stablehlo.multiply %2, %3 : tensor<2x8xbf16>
    %5 = chlo.erfc %4 : tensor<2x8xbf16> -> tensor<2x8xbf16>
    %6 = stablehlo.multiply %1, %5 : tensor<2x8xbf16>
    return %6 : tensor<2x8xbf16>
  }
}
