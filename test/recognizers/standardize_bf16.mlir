// RUN: ditto-opt %s --inline-calls --legalize-chlo --canonicalize --cse --ditto-approximate='layer-norm=rsqrt' | filecheck %s
// jax.nn.standardize in bf16, its means in f32; jax 0.4.34; by test/recognizers/capture.py.
// Functions: layer_norm

// CHECK-LABEL: func.func public @main(
// CHECK-NOT: stablehlo.divide
module @jit_standardize attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<2x8xbf16> {mhlo.layout_mode = "default"}) -> (tensor<2x8xbf16> {jax.result_info = "", mhlo.layout_mode = "default"}) {
    %0 = call @standardize(%arg0) : (tensor<2x8xbf16>) -> tensor<2x8xbf16>
    return %0 : tensor<2x8xbf16>
  }
  func.func private @standardize(%arg0: tensor<2x8xbf16> {mhlo.layout_mode = "default"}) -> (tensor<2x8xbf16> {mhlo.layout_mode = "default"}) {
    %0 = stablehlo.convert %arg0 : (tensor<2x8xbf16>) -> tensor<2x8xf32>
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %1 = stablehlo.reduce(%0 init: %cst) applies stablehlo.add across dimensions = [1] : (tensor<2x8xf32>, tensor<f32>) -> tensor<2xf32>
    %2 = stablehlo.broadcast_in_dim %1, dims = [0] : (tensor<2xf32>) -> tensor<2x1xf32>
    %cst_0 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %3 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<f32>) -> tensor<2x1xf32>
    %4 = stablehlo.divide %2, %3 : tensor<2x1xf32>
    %5 = stablehlo.convert %4 : (tensor<2x1xf32>) -> tensor<2x1xbf16>
    %6 = stablehlo.multiply %arg0, %arg0 : tensor<2x8xbf16>
    %7 = stablehlo.convert %6 : (tensor<2x8xbf16>) -> tensor<2x8xf32>
    %cst_1 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %8 = stablehlo.reduce(%7 init: %cst_1) applies stablehlo.add across dimensions = [1] : (tensor<2x8xf32>, tensor<f32>) -> tensor<2xf32>
    %9 = stablehlo.broadcast_in_dim %8, dims = [0] : (tensor<2xf32>) -> tensor<2x1xf32>
    %cst_2 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %10 = stablehlo.broadcast_in_dim %cst_2, dims = [] : (tensor<f32>) -> tensor<2x1xf32>
    %11 = stablehlo.divide %9, %10 : tensor<2x1xf32>
    %12 = stablehlo.convert %11 : (tensor<2x1xf32>) -> tensor<2x1xbf16>
    %13 = stablehlo.multiply %5, %5 : tensor<2x1xbf16>
    %14 = stablehlo.subtract %12, %13 : tensor<2x1xbf16>
    %15 = stablehlo.broadcast_in_dim %5, dims = [0, 1] : (tensor<2x1xbf16>) -> tensor<2x8xbf16>
    %16 = stablehlo.subtract %arg0, %15 : tensor<2x8xbf16>
    %cst_3 = stablehlo.constant dense<1.001360e-05> : tensor<bf16>
    %17 = stablehlo.broadcast_in_dim %cst_3, dims = [] : (tensor<bf16>) -> tensor<2x1xbf16>
    %18 = stablehlo.add %14, %17 : tensor<2x1xbf16>
    %19 = stablehlo.rsqrt %18 : tensor<2x1xbf16>
    %20 = stablehlo.broadcast_in_dim %19, dims = [0, 1] : (tensor<2x1xbf16>) -> tensor<2x8xbf16>
    %21 = stablehlo.multiply %16, %20 : tensor<2x8xbf16>
    return %21 : tensor<2x8xbf16>
  }
}
