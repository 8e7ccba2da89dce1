// RUN: ditto-opt %s --inline-calls --legalize-chlo --canonicalize --cse --ditto-approximate='policy=ditto' --ditto-choose-functions='beside=none' | filecheck %s
// transformers.FlaxGPT2Model; jax 0.4.34, flax 0.10.0, transformers 4.57.6; by test/recognizers/capture.py.
// Functions: embedding embedding layer_norm softmax layer_norm gelu layer_norm

// CHECK-LABEL: func.func public @main(
// CHECK-NOT: stablehlo.exponential
module @jit_run attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<24xf32> {mhlo.layout_mode = "default"}, %arg1: tensor<24x8xf32> {mhlo.layout_mode = "default"}, %arg2: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg3: tensor<8x8xf32> {mhlo.layout_mode = "default"}, %arg4: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg5: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg6: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg7: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg8: tensor<32xf32> {mhlo.layout_mode = "default"}, %arg9: tensor<32x8xf32> {mhlo.layout_mode = "default"}, %arg10: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg11: tensor<8x32xf32> {mhlo.layout_mode = "default"}, %arg12: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg13: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg14: tensor<8x8xf32> {mhlo.layout_mode = "default"}, %arg15: tensor<12x8xf32> {mhlo.layout_mode = "default"}, %arg16: tensor<1x4xi32> {mhlo.layout_mode = "default"}, %arg17: tensor<1x4xi32> {mhlo.layout_mode = "default"}) -> (tensor<1x4x8xf32> {jax.result_info = "", mhlo.layout_mode = "default"}) {
    %0 = stablehlo.iota dim = 0 : tensor<4xi32>
    %1 = stablehlo.broadcast_in_dim %0, dims = [1] : (tensor<4xi32>) -> tensor<1x4xi32>
    %2 = call @_take(%arg15, %arg16) : (tensor<12x8xf32>, tensor<1x4xi32>) -> tensor<1x4x8xf32>
    %3 = call @_take_0(%arg14, %1) : (tensor<8x8xf32>, tensor<1x4xi32>) -> tensor<1x4x8xf32>
    %4 = stablehlo.add %2, %3 : tensor<1x4x8xf32>
    %5 = stablehlo.multiply %4, %4 : tensor<1x4x8xf32>
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %6 = stablehlo.reduce(%4 init: %cst) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %cst_0 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %7 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %8 = stablehlo.divide %6, %7 : tensor<1x4xf32>
    %cst_1 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %9 = stablehlo.reduce(%5 init: %cst_1) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %cst_2 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %10 = stablehlo.broadcast_in_dim %cst_2, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %11 = stablehlo.divide %9, %10 : tensor<1x4xf32>
    %12 = stablehlo.multiply %8, %8 : tensor<1x4xf32>
    %13 = stablehlo.subtract %11, %12 : tensor<1x4xf32>
    %cst_3 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %14 = stablehlo.broadcast_in_dim %cst_3, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %15 = stablehlo.maximum %14, %13 : tensor<1x4xf32>
    %16 = stablehlo.broadcast_in_dim %8, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %17 = stablehlo.broadcast_in_dim %15, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %18 = stablehlo.broadcast_in_dim %16, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %19 = stablehlo.subtract %4, %18 : tensor<1x4x8xf32>
    %cst_4 = stablehlo.constant dense<9.99999974E-6> : tensor<f32>
    %20 = stablehlo.broadcast_in_dim %cst_4, dims = [] : (tensor<f32>) -> tensor<1x4x1xf32>
    %21 = stablehlo.add %17, %20 : tensor<1x4x1xf32>
    %22 = stablehlo.rsqrt %21 : tensor<1x4x1xf32>
    %23 = stablehlo.reshape %arg5 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %24 = stablehlo.broadcast_in_dim %22, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %25 = stablehlo.broadcast_in_dim %23, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %26 = stablehlo.multiply %24, %25 : tensor<1x4x8xf32>
    %27 = stablehlo.multiply %19, %26 : tensor<1x4x8xf32>
    %28 = stablehlo.reshape %arg4 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %29 = stablehlo.broadcast_in_dim %28, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %30 = stablehlo.add %27, %29 : tensor<1x4x8xf32>
    %31 = stablehlo.iota dim = 0 : tensor<8xi32>
    %32 = stablehlo.broadcast_in_dim %31, dims = [1] : (tensor<8xi32>) -> tensor<1x8xi32>
    %33 = stablehlo.broadcast_in_dim %32, dims = [0, 1] : (tensor<1x8xi32>) -> tensor<1x8x1xi32>
    %34 = stablehlo.broadcast_in_dim %32, dims = [0, 2] : (tensor<1x8xi32>) -> tensor<1x1x8xi32>
    %35 = stablehlo.broadcast_in_dim %33, dims = [0, 1, 2] : (tensor<1x8x1xi32>) -> tensor<1x8x8xi32>
    %36 = stablehlo.broadcast_in_dim %34, dims = [0, 1, 2] : (tensor<1x1x8xi32>) -> tensor<1x8x8xi32>
    %37 = stablehlo.compare  GE, %35, %36,  SIGNED : (tensor<1x8x8xi32>, tensor<1x8x8xi32>) -> tensor<1x8x8xi1>
    %38 = stablehlo.broadcast_in_dim %37, dims = [0, 2, 3] : (tensor<1x8x8xi1>) -> tensor<1x1x8x8xi1>
    %39 = stablehlo.transpose %arg1, dims = [1, 0] : (tensor<24x8xf32>) -> tensor<8x24xf32>
    %40 = stablehlo.dot_general %30, %39, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x8xf32>, tensor<8x24xf32>) -> tensor<1x4x24xf32>
    %41 = stablehlo.broadcast_in_dim %arg0, dims = [2] : (tensor<24xf32>) -> tensor<1x1x24xf32>
    %42 = stablehlo.broadcast_in_dim %41, dims = [0, 1, 2] : (tensor<1x1x24xf32>) -> tensor<1x4x24xf32>
    %43 = stablehlo.add %40, %42 : tensor<1x4x24xf32>
    %44 = stablehlo.slice %43 [0:1, 0:4, 0:8] : (tensor<1x4x24xf32>) -> tensor<1x4x8xf32>
    %45 = stablehlo.slice %43 [0:1, 0:4, 8:16] : (tensor<1x4x24xf32>) -> tensor<1x4x8xf32>
    %46 = stablehlo.slice %43 [0:1, 0:4, 16:24] : (tensor<1x4x24xf32>) -> tensor<1x4x8xf32>
    %47 = stablehlo.reshape %44 : (tensor<1x4x8xf32>) -> tensor<1x4x2x4xf32>
    %48 = stablehlo.reshape %45 : (tensor<1x4x8xf32>) -> tensor<1x4x2x4xf32>
    %49 = stablehlo.reshape %46 : (tensor<1x4x8xf32>) -> tensor<1x4x2x4xf32>
    %50 = stablehlo.slice %38 [0:1, 0:1, 0:4, 0:4] : (tensor<1x1x8x8xi1>) -> tensor<1x1x4x4xi1>
    %51 = stablehlo.broadcast_in_dim %arg17, dims = [0, 3] : (tensor<1x4xi32>) -> tensor<1x1x1x4xi32>
    %52 = stablehlo.broadcast_in_dim %51, dims = [0, 1, 2, 3] : (tensor<1x1x1x4xi32>) -> tensor<1x1x4x4xi32>
    %53 = stablehlo.convert %50 : (tensor<1x1x4x4xi1>) -> tensor<1x1x4x4xi32>
    %c = stablehlo.constant dense<0> : tensor<i32>
    %54 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<i32>) -> tensor<1x1x4x4xi32>
    %55 = stablehlo.compare  NE, %52, %54,  SIGNED : (tensor<1x1x4x4xi32>, tensor<1x1x4x4xi32>) -> tensor<1x1x4x4xi1>
    %c_5 = stablehlo.constant dense<0> : tensor<i32>
    %56 = stablehlo.broadcast_in_dim %c_5, dims = [] : (tensor<i32>) -> tensor<1x1x4x4xi32>
    %57 = stablehlo.compare  NE, %53, %56,  SIGNED : (tensor<1x1x4x4xi32>, tensor<1x1x4x4xi32>) -> tensor<1x1x4x4xi1>
    %58 = stablehlo.and %55, %57 : tensor<1x1x4x4xi1>
    %59 = stablehlo.convert %58 : (tensor<1x1x4x4xi1>) -> tensor<1x1x4x4xf32>
    %cst_6 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %60 = stablehlo.broadcast_in_dim %cst_6, dims = [] : (tensor<f32>) -> tensor<1x1x4x4xf32>
    %61 = stablehlo.compare  GT, %59, %60,  FLOAT : (tensor<1x1x4x4xf32>, tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xi1>
    %cst_7 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %62 = stablehlo.broadcast_in_dim %cst_7, dims = [] : (tensor<f32>) -> tensor<1x1x4x4xf32>
    %63 = stablehlo.convert %62 : tensor<1x1x4x4xf32>
    %cst_8 = stablehlo.constant dense<-3.40282347E+38> : tensor<f32>
    %64 = stablehlo.broadcast_in_dim %cst_8, dims = [] : (tensor<f32>) -> tensor<1x1x4x4xf32>
    %65 = stablehlo.select %61, %63, %64 : tensor<1x1x4x4xi1>, tensor<1x1x4x4xf32>
    %cst_9 = stablehlo.constant dense<4.000000e+00> : tensor<f32>
    %66 = stablehlo.sqrt %cst_9 : tensor<f32>
    %67 = stablehlo.convert %66 : tensor<f32>
    %68 = stablehlo.broadcast_in_dim %67, dims = [] : (tensor<f32>) -> tensor<1x4x2x4xf32>
    %69 = stablehlo.divide %47, %68 : tensor<1x4x2x4xf32>
    %70 = stablehlo.dot_general %69, %48, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [DEFAULT, DEFAULT] : (tensor<1x4x2x4xf32>, tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
    %71 = stablehlo.broadcast_in_dim %65, dims = [0, 1, 2, 3] : (tensor<1x1x4x4xf32>) -> tensor<1x2x4x4xf32>
    %72 = stablehlo.add %70, %71 : tensor<1x2x4x4xf32>
    %cst_10 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %73 = stablehlo.reduce(%72 init: %cst_10) applies stablehlo.maximum across dimensions = [3] : (tensor<1x2x4x4xf32>, tensor<f32>) -> tensor<1x2x4xf32>
    %cst_11 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %74 = stablehlo.broadcast_in_dim %cst_11, dims = [] : (tensor<f32>) -> tensor<1x2x4xf32>
    %75 = stablehlo.maximum %74, %73 : tensor<1x2x4xf32>
    %76 = stablehlo.broadcast_in_dim %75, dims = [0, 1, 2] : (tensor<1x2x4xf32>) -> tensor<1x2x4x1xf32>
    %77 = stablehlo.broadcast_in_dim %76, dims = [0, 1, 2, 3] : (tensor<1x2x4x1xf32>) -> tensor<1x2x4x4xf32>
    %78 = stablehlo.subtract %72, %77 : tensor<1x2x4x4xf32>
    %79 = stablehlo.exponential %78 : tensor<1x2x4x4xf32>
    %cst_12 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %80 = stablehlo.reduce(%79 init: %cst_12) applies stablehlo.add across dimensions = [3] : (tensor<1x2x4x4xf32>, tensor<f32>) -> tensor<1x2x4xf32>
    %81 = stablehlo.broadcast_in_dim %80, dims = [0, 1, 2] : (tensor<1x2x4xf32>) -> tensor<1x2x4x1xf32>
    %82 = stablehlo.broadcast_in_dim %81, dims = [0, 1, 2, 3] : (tensor<1x2x4x1xf32>) -> tensor<1x2x4x4xf32>
    %83 = stablehlo.divide %79, %82 : tensor<1x2x4x4xf32>
    %84 = stablehlo.dot_general %49, %83, batching_dims = [0, 2] x [0, 1], contracting_dims = [1] x [3], precision = [DEFAULT, DEFAULT] : (tensor<1x4x2x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    %85 = stablehlo.transpose %84, dims = [0, 3, 1, 2] : (tensor<1x2x4x4xf32>) -> tensor<1x4x2x4xf32>
    %86 = stablehlo.reshape %85 : (tensor<1x4x2x4xf32>) -> tensor<1x4x8xf32>
    %87 = stablehlo.transpose %arg3, dims = [1, 0] : (tensor<8x8xf32>) -> tensor<8x8xf32>
    %88 = stablehlo.dot_general %86, %87, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x8xf32>, tensor<8x8xf32>) -> tensor<1x4x8xf32>
    %89 = stablehlo.broadcast_in_dim %arg2, dims = [2] : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %90 = stablehlo.broadcast_in_dim %89, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %91 = stablehlo.add %88, %90 : tensor<1x4x8xf32>
    %92 = stablehlo.add %91, %4 : tensor<1x4x8xf32>
    %93 = stablehlo.multiply %92, %92 : tensor<1x4x8xf32>
    %cst_13 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %94 = stablehlo.reduce(%92 init: %cst_13) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %cst_14 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %95 = stablehlo.broadcast_in_dim %cst_14, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %96 = stablehlo.divide %94, %95 : tensor<1x4xf32>
    %cst_15 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %97 = stablehlo.reduce(%93 init: %cst_15) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %cst_16 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %98 = stablehlo.broadcast_in_dim %cst_16, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %99 = stablehlo.divide %97, %98 : tensor<1x4xf32>
    %100 = stablehlo.multiply %96, %96 : tensor<1x4xf32>
    %101 = stablehlo.subtract %99, %100 : tensor<1x4xf32>
    %cst_17 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %102 = stablehlo.broadcast_in_dim %cst_17, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %103 = stablehlo.maximum %102, %101 : tensor<1x4xf32>
    %104 = stablehlo.broadcast_in_dim %96, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %105 = stablehlo.broadcast_in_dim %103, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %106 = stablehlo.broadcast_in_dim %104, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %107 = stablehlo.subtract %92, %106 : tensor<1x4x8xf32>
    %cst_18 = stablehlo.constant dense<9.99999974E-6> : tensor<f32>
    %108 = stablehlo.broadcast_in_dim %cst_18, dims = [] : (tensor<f32>) -> tensor<1x4x1xf32>
    %109 = stablehlo.add %105, %108 : tensor<1x4x1xf32>
    %110 = stablehlo.rsqrt %109 : tensor<1x4x1xf32>
    %111 = stablehlo.reshape %arg7 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %112 = stablehlo.broadcast_in_dim %110, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %113 = stablehlo.broadcast_in_dim %111, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %114 = stablehlo.multiply %112, %113 : tensor<1x4x8xf32>
    %115 = stablehlo.multiply %107, %114 : tensor<1x4x8xf32>
    %116 = stablehlo.reshape %arg6 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %117 = stablehlo.broadcast_in_dim %116, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %118 = stablehlo.add %115, %117 : tensor<1x4x8xf32>
    %119 = stablehlo.transpose %arg9, dims = [1, 0] : (tensor<32x8xf32>) -> tensor<8x32xf32>
    %120 = stablehlo.dot_general %118, %119, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x8xf32>, tensor<8x32xf32>) -> tensor<1x4x32xf32>
    %121 = stablehlo.broadcast_in_dim %arg8, dims = [2] : (tensor<32xf32>) -> tensor<1x1x32xf32>
    %122 = stablehlo.broadcast_in_dim %121, dims = [0, 1, 2] : (tensor<1x1x32xf32>) -> tensor<1x4x32xf32>
    %123 = stablehlo.add %120, %122 : tensor<1x4x32xf32>
    %124 = stablehlo.multiply %123, %123 : tensor<1x4x32xf32>
    %125 = stablehlo.multiply %124, %123 : tensor<1x4x32xf32>
    %cst_19 = stablehlo.constant dense<4.471500e-02> : tensor<f32>
    %126 = stablehlo.broadcast_in_dim %cst_19, dims = [] : (tensor<f32>) -> tensor<1x4x32xf32>
    %127 = stablehlo.multiply %126, %125 : tensor<1x4x32xf32>
    %128 = stablehlo.add %123, %127 : tensor<1x4x32xf32>
    %cst_20 = stablehlo.constant dense<0.797884583> : tensor<f32>
    %129 = stablehlo.broadcast_in_dim %cst_20, dims = [] : (tensor<f32>) -> tensor<1x4x32xf32>
    %130 = stablehlo.multiply %129, %128 : tensor<1x4x32xf32>
    %131 = stablehlo.tanh %130 : tensor<1x4x32xf32>
    %cst_21 = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %132 = stablehlo.broadcast_in_dim %cst_21, dims = [] : (tensor<f32>) -> tensor<1x4x32xf32>
    %133 = stablehlo.add %132, %131 : tensor<1x4x32xf32>
    %cst_22 = stablehlo.constant dense<5.000000e-01> : tensor<f32>
    %134 = stablehlo.broadcast_in_dim %cst_22, dims = [] : (tensor<f32>) -> tensor<1x4x32xf32>
    %135 = stablehlo.multiply %134, %133 : tensor<1x4x32xf32>
    %136 = stablehlo.multiply %123, %135 : tensor<1x4x32xf32>
    %137 = stablehlo.transpose %arg11, dims = [1, 0] : (tensor<8x32xf32>) -> tensor<32x8xf32>
    %138 = stablehlo.dot_general %136, %137, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x32xf32>, tensor<32x8xf32>) -> tensor<1x4x8xf32>
    %139 = stablehlo.broadcast_in_dim %arg10, dims = [2] : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %140 = stablehlo.broadcast_in_dim %139, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %141 = stablehlo.add %138, %140 : tensor<1x4x8xf32>
    %142 = stablehlo.add %92, %141 : tensor<1x4x8xf32>
    %143 = stablehlo.multiply %142, %142 : tensor<1x4x8xf32>
    %cst_23 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %144 = stablehlo.reduce(%142 init: %cst_23) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %cst_24 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %145 = stablehlo.broadcast_in_dim %cst_24, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %146 = stablehlo.divide %144, %145 : tensor<1x4xf32>
    %cst_25 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %147 = stablehlo.reduce(%143 init: %cst_25) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %cst_26 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %148 = stablehlo.broadcast_in_dim %cst_26, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %149 = stablehlo.divide %147, %148 : tensor<1x4xf32>
    %150 = stablehlo.multiply %146, %146 : tensor<1x4xf32>
    %151 = stablehlo.subtract %149, %150 : tensor<1x4xf32>
    %cst_27 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %152 = stablehlo.broadcast_in_dim %cst_27, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %153 = stablehlo.maximum %152, %151 : tensor<1x4xf32>
    %154 = stablehlo.broadcast_in_dim %146, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %155 = stablehlo.broadcast_in_dim %153, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %156 = stablehlo.broadcast_in_dim %154, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %157 = stablehlo.subtract %142, %156 : tensor<1x4x8xf32>
    %cst_28 = stablehlo.constant dense<9.99999974E-6> : tensor<f32>
    %158 = stablehlo.broadcast_in_dim %cst_28, dims = [] : (tensor<f32>) -> tensor<1x4x1xf32>
    %159 = stablehlo.add %155, %158 : tensor<1x4x1xf32>
    %160 = stablehlo.rsqrt %159 : tensor<1x4x1xf32>
    %161 = stablehlo.reshape %arg13 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %162 = stablehlo.broadcast_in_dim %160, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %163 = stablehlo.broadcast_in_dim %161, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %164 = stablehlo.multiply %162, %163 : tensor<1x4x8xf32>
    %165 = stablehlo.multiply %157, %164 : tensor<1x4x8xf32>
    %166 = stablehlo.reshape %arg12 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %167 = stablehlo.broadcast_in_dim %166, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %168 = stablehlo.add %165, %167 : tensor<1x4x8xf32>
    return %168 : tensor<1x4x8xf32>
  }
  func.func private @_take(%arg0: tensor<12x8xf32> {mhlo.layout_mode = "default"}, %arg1: tensor<1x4xi32> {mhlo.layout_mode = "default"}) -> (tensor<1x4x8xf32> {mhlo.layout_mode = "default"}) {
    %c = stablehlo.constant dense<0> : tensor<i32>
    %0 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<i32>) -> tensor<1x4xi32>
    %1 = stablehlo.compare  LT, %arg1, %0,  SIGNED : (tensor<1x4xi32>, tensor<1x4xi32>) -> tensor<1x4xi1>
    %c_0 = stablehlo.constant dense<12> : tensor<i32>
    %2 = stablehlo.broadcast_in_dim %c_0, dims = [] : (tensor<i32>) -> tensor<1x4xi32>
    %3 = stablehlo.add %arg1, %2 : tensor<1x4xi32>
    %4 = call @_where(%1, %3, %arg1) : (tensor<1x4xi1>, tensor<1x4xi32>, tensor<1x4xi32>) -> tensor<1x4xi32>
    %5 = stablehlo.broadcast_in_dim %4, dims = [0, 1] : (tensor<1x4xi32>) -> tensor<1x4x1xi32>
    %c_1 = stablehlo.constant dense<0> : tensor<1xi32>
    %c_2 = stablehlo.constant dense<0> : tensor<1xi32>
    %c_3 = stablehlo.constant dense<12> : tensor<i32>
    %6 = stablehlo.broadcast_in_dim %c_3, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %c_4 = stablehlo.constant dense<8> : tensor<i32>
    %7 = stablehlo.broadcast_in_dim %c_4, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %8 = stablehlo.concatenate %6, %7, dim = 0 : (tensor<1xi32>, tensor<1xi32>) -> tensor<2xi32>
    %c_5 = stablehlo.constant dense<0> : tensor<i32>
    %9 = stablehlo.broadcast_in_dim %c_5, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %10 = stablehlo.compare  LT, %c_1, %9,  SIGNED : (tensor<1xi32>, tensor<1xi32>) -> tensor<1xi1>
    %c_6 = stablehlo.constant dense<2> : tensor<i32>
    %11 = stablehlo.broadcast_in_dim %c_6, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %12 = stablehlo.add %c_1, %11 : tensor<1xi32>
    %13 = stablehlo.select %10, %12, %c_1 : tensor<1xi1>, tensor<1xi32>
    %14 = stablehlo.broadcast_in_dim %13, dims = [0] : (tensor<1xi32>) -> tensor<1x1xi32>
    %15 = "stablehlo.gather"(%8, %14) <{dimension_numbers = #stablehlo.gather<collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, indices_are_sorted = false, slice_sizes = array<i64: 1>}> : (tensor<2xi32>, tensor<1x1xi32>) -> tensor<1xi32>
    %c_7 = stablehlo.constant dense<1> : tensor<i32>
    %16 = stablehlo.broadcast_in_dim %c_7, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %c_8 = stablehlo.constant dense<8> : tensor<i32>
    %17 = stablehlo.broadcast_in_dim %c_8, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %18 = stablehlo.concatenate %16, %17, dim = 0 : (tensor<1xi32>, tensor<1xi32>) -> tensor<2xi32>
    %c_9 = stablehlo.constant dense<0> : tensor<i32>
    %19 = stablehlo.broadcast_in_dim %c_9, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %20 = stablehlo.compare  LT, %c_2, %19,  SIGNED : (tensor<1xi32>, tensor<1xi32>) -> tensor<1xi1>
    %c_10 = stablehlo.constant dense<2> : tensor<i32>
    %21 = stablehlo.broadcast_in_dim %c_10, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %22 = stablehlo.add %c_2, %21 : tensor<1xi32>
    %23 = stablehlo.select %20, %22, %c_2 : tensor<1xi1>, tensor<1xi32>
    %24 = stablehlo.broadcast_in_dim %23, dims = [0] : (tensor<1xi32>) -> tensor<1x1xi32>
    %25 = "stablehlo.gather"(%18, %24) <{dimension_numbers = #stablehlo.gather<collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, indices_are_sorted = false, slice_sizes = array<i64: 1>}> : (tensor<2xi32>, tensor<1x1xi32>) -> tensor<1xi32>
    %26 = stablehlo.subtract %15, %25 : tensor<1xi32>
    %c_11 = stablehlo.constant dense<0> : tensor<i32>
    %27 = stablehlo.broadcast_in_dim %c_11, dims = [] : (tensor<i32>) -> tensor<1x4x1xi32>
    %28 = stablehlo.compare  GE, %5, %27,  SIGNED : (tensor<1x4x1xi32>, tensor<1x4x1xi32>) -> tensor<1x4x1xi1>
    %29 = stablehlo.broadcast_in_dim %26, dims = [2] : (tensor<1xi32>) -> tensor<1x1x1xi32>
    %30 = stablehlo.broadcast_in_dim %29, dims = [0, 1, 2] : (tensor<1x1x1xi32>) -> tensor<1x4x1xi32>
    %31 = stablehlo.compare  LE, %5, %30,  SIGNED : (tensor<1x4x1xi32>, tensor<1x4x1xi32>) -> tensor<1x4x1xi1>
    %32 = stablehlo.and %28, %31 : tensor<1x4x1xi1>
    %c_12 = stablehlo.constant dense<true> : tensor<i1>
    %33 = stablehlo.reduce(%32 init: %c_12) applies stablehlo.and across dimensions = [2] : (tensor<1x4x1xi1>, tensor<i1>) -> tensor<1x4xi1>
    %34 = "stablehlo.gather"(%arg0, %5) <{dimension_numbers = #stablehlo.gather<offset_dims = [2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 2>, indices_are_sorted = false, slice_sizes = array<i64: 1, 8>}> : (tensor<12x8xf32>, tensor<1x4x1xi32>) -> tensor<1x4x8xf32>
    %35 = stablehlo.broadcast_in_dim %33, dims = [0, 1] : (tensor<1x4xi1>) -> tensor<1x4x8xi1>
    %cst = stablehlo.constant dense<0x7FC00000> : tensor<f32>
    %36 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<1x4x8xf32>
    %37 = stablehlo.select %35, %34, %36 : tensor<1x4x8xi1>, tensor<1x4x8xf32>
    return %37 : tensor<1x4x8xf32>
  }
  func.func private @_where(%arg0: tensor<1x4xi1> {mhlo.layout_mode = "default"}, %arg1: tensor<1x4xi32> {mhlo.layout_mode = "default"}, %arg2: tensor<1x4xi32> {mhlo.layout_mode = "default"}) -> (tensor<1x4xi32> {mhlo.layout_mode = "default"}) {
    %0 = stablehlo.select %arg0, %arg1, %arg2 : tensor<1x4xi1>, tensor<1x4xi32>
    return %0 : tensor<1x4xi32>
  }
  func.func private @_take_0(%arg0: tensor<8x8xf32> {mhlo.layout_mode = "default"}, %arg1: tensor<1x4xi32> {mhlo.layout_mode = "default"}) -> (tensor<1x4x8xf32> {mhlo.layout_mode = "default"}) {
    %c = stablehlo.constant dense<0> : tensor<i32>
    %0 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<i32>) -> tensor<1x4xi32>
    %1 = stablehlo.compare  LT, %arg1, %0,  SIGNED : (tensor<1x4xi32>, tensor<1x4xi32>) -> tensor<1x4xi1>
    %c_0 = stablehlo.constant dense<8> : tensor<i32>
    %2 = stablehlo.broadcast_in_dim %c_0, dims = [] : (tensor<i32>) -> tensor<1x4xi32>
    %3 = stablehlo.add %arg1, %2 : tensor<1x4xi32>
    %4 = call @_where(%1, %3, %arg1) : (tensor<1x4xi1>, tensor<1x4xi32>, tensor<1x4xi32>) -> tensor<1x4xi32>
    %5 = stablehlo.broadcast_in_dim %4, dims = [0, 1] : (tensor<1x4xi32>) -> tensor<1x4x1xi32>
    %c_1 = stablehlo.constant dense<0> : tensor<1xi32>
    %c_2 = stablehlo.constant dense<0> : tensor<1xi32>
    %c_3 = stablehlo.constant dense<8> : tensor<i32>
    %6 = stablehlo.broadcast_in_dim %c_3, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %c_4 = stablehlo.constant dense<8> : tensor<i32>
    %7 = stablehlo.broadcast_in_dim %c_4, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %8 = stablehlo.concatenate %6, %7, dim = 0 : (tensor<1xi32>, tensor<1xi32>) -> tensor<2xi32>
    %c_5 = stablehlo.constant dense<0> : tensor<i32>
    %9 = stablehlo.broadcast_in_dim %c_5, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %10 = stablehlo.compare  LT, %c_1, %9,  SIGNED : (tensor<1xi32>, tensor<1xi32>) -> tensor<1xi1>
    %c_6 = stablehlo.constant dense<2> : tensor<i32>
    %11 = stablehlo.broadcast_in_dim %c_6, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %12 = stablehlo.add %c_1, %11 : tensor<1xi32>
    %13 = stablehlo.select %10, %12, %c_1 : tensor<1xi1>, tensor<1xi32>
    %14 = stablehlo.broadcast_in_dim %13, dims = [0] : (tensor<1xi32>) -> tensor<1x1xi32>
    %15 = "stablehlo.gather"(%8, %14) <{dimension_numbers = #stablehlo.gather<collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, indices_are_sorted = false, slice_sizes = array<i64: 1>}> : (tensor<2xi32>, tensor<1x1xi32>) -> tensor<1xi32>
    %c_7 = stablehlo.constant dense<1> : tensor<i32>
    %16 = stablehlo.broadcast_in_dim %c_7, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %c_8 = stablehlo.constant dense<8> : tensor<i32>
    %17 = stablehlo.broadcast_in_dim %c_8, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %18 = stablehlo.concatenate %16, %17, dim = 0 : (tensor<1xi32>, tensor<1xi32>) -> tensor<2xi32>
    %c_9 = stablehlo.constant dense<0> : tensor<i32>
    %19 = stablehlo.broadcast_in_dim %c_9, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %20 = stablehlo.compare  LT, %c_2, %19,  SIGNED : (tensor<1xi32>, tensor<1xi32>) -> tensor<1xi1>
    %c_10 = stablehlo.constant dense<2> : tensor<i32>
    %21 = stablehlo.broadcast_in_dim %c_10, dims = [] : (tensor<i32>) -> tensor<1xi32>
    %22 = stablehlo.add %c_2, %21 : tensor<1xi32>
    %23 = stablehlo.select %20, %22, %c_2 : tensor<1xi1>, tensor<1xi32>
    %24 = stablehlo.broadcast_in_dim %23, dims = [0] : (tensor<1xi32>) -> tensor<1x1xi32>
    %25 = "stablehlo.gather"(%18, %24) <{dimension_numbers = #stablehlo.gather<collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, indices_are_sorted = false, slice_sizes = array<i64: 1>}> : (tensor<2xi32>, tensor<1x1xi32>) -> tensor<1xi32>
    %26 = stablehlo.subtract %15, %25 : tensor<1xi32>
    %c_11 = stablehlo.constant dense<0> : tensor<i32>
    %27 = stablehlo.broadcast_in_dim %c_11, dims = [] : (tensor<i32>) -> tensor<1x4x1xi32>
    %28 = stablehlo.compare  GE, %5, %27,  SIGNED : (tensor<1x4x1xi32>, tensor<1x4x1xi32>) -> tensor<1x4x1xi1>
    %29 = stablehlo.broadcast_in_dim %26, dims = [2] : (tensor<1xi32>) -> tensor<1x1x1xi32>
    %30 = stablehlo.broadcast_in_dim %29, dims = [0, 1, 2] : (tensor<1x1x1xi32>) -> tensor<1x4x1xi32>
    %31 = stablehlo.compare  LE, %5, %30,  SIGNED : (tensor<1x4x1xi32>, tensor<1x4x1xi32>) -> tensor<1x4x1xi1>
    %32 = stablehlo.and %28, %31 : tensor<1x4x1xi1>
    %c_12 = stablehlo.constant dense<true> : tensor<i1>
    %33 = stablehlo.reduce(%32 init: %c_12) applies stablehlo.and across dimensions = [2] : (tensor<1x4x1xi1>, tensor<i1>) -> tensor<1x4xi1>
    %34 = "stablehlo.gather"(%arg0, %5) <{dimension_numbers = #stablehlo.gather<offset_dims = [2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 2>, indices_are_sorted = false, slice_sizes = array<i64: 1, 8>}> : (tensor<8x8xf32>, tensor<1x4x1xi32>) -> tensor<1x4x8xf32>
    %35 = stablehlo.broadcast_in_dim %33, dims = [0, 1] : (tensor<1x4xi1>) -> tensor<1x4x8xi1>
    %cst = stablehlo.constant dense<0x7FC00000> : tensor<f32>
    %36 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<1x4x8xf32>
    %37 = stablehlo.select %35, %34, %36 : tensor<1x4x8xi1>, tensor<1x4x8xf32>
    return %37 : tensor<1x4x8xf32>
  }
}
