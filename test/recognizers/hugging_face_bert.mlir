// RUN: ditto-opt %s --inline-calls --legalize-chlo --canonicalize --cse --ditto-approximate='policy=ditto' --ditto-choose-functions='beside=none' | filecheck %s
// transformers.FlaxBertModel; jax 0.4.34, flax 0.10.0, transformers 4.57.6; by test/recognizers/capture.py.
// Functions: embedding embedding embedding layer_norm softmax layer_norm gelu layer_norm

// CHECK-LABEL: func.func public @main(
// CHECK-NOT: stablehlo.exponential
module @jit_run attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg1: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg2: tensor<8x8xf32> {mhlo.layout_mode = "default"}, %arg3: tensor<2x8xf32> {mhlo.layout_mode = "default"}, %arg4: tensor<12x8xf32> {mhlo.layout_mode = "default"}, %arg5: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg6: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg7: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg8: tensor<8x8xf32> {mhlo.layout_mode = "default"}, %arg9: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg10: tensor<8x8xf32> {mhlo.layout_mode = "default"}, %arg11: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg12: tensor<8x8xf32> {mhlo.layout_mode = "default"}, %arg13: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg14: tensor<8x8xf32> {mhlo.layout_mode = "default"}, %arg15: tensor<16xf32> {mhlo.layout_mode = "default"}, %arg16: tensor<8x16xf32> {mhlo.layout_mode = "default"}, %arg17: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg18: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg19: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg20: tensor<16x8xf32> {mhlo.layout_mode = "default"}, %arg21: tensor<1x4xi32> {mhlo.layout_mode = "default"}, %arg22: tensor<1x4xi32> {mhlo.layout_mode = "default"}) -> (tensor<1x4x8xf32> {jax.result_info = "", mhlo.layout_mode = "default"}) {
    %c = stablehlo.constant dense<0> : tensor<i32>
    %0 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<i32>) -> tensor<1x4xi32>
    %1 = stablehlo.iota dim = 0 : tensor<4xi32>
    %2 = stablehlo.broadcast_in_dim %1, dims = [1] : (tensor<4xi32>) -> tensor<1x4xi32>
    %cst = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %3 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<1x2xf32>
    %4 = stablehlo.convert %3 : (tensor<1x2xf32>) -> tensor<1x2xi32>
    %5 = call @_take(%arg4, %arg21) : (tensor<12x8xf32>, tensor<1x4xi32>) -> tensor<1x4x8xf32>
    %6 = call @_take_0(%arg2, %2) : (tensor<8x8xf32>, tensor<1x4xi32>) -> tensor<1x4x8xf32>
    %7 = call @_take_1(%arg3, %0) : (tensor<2x8xf32>, tensor<1x4xi32>) -> tensor<1x4x8xf32>
    %8 = stablehlo.add %5, %7 : tensor<1x4x8xf32>
    %9 = stablehlo.add %8, %6 : tensor<1x4x8xf32>
    %10 = stablehlo.multiply %9, %9 : tensor<1x4x8xf32>
    %cst_0 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %11 = stablehlo.reduce(%9 init: %cst_0) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %cst_1 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %12 = stablehlo.broadcast_in_dim %cst_1, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %13 = stablehlo.divide %11, %12 : tensor<1x4xf32>
    %cst_2 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %14 = stablehlo.reduce(%10 init: %cst_2) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %cst_3 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %15 = stablehlo.broadcast_in_dim %cst_3, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %16 = stablehlo.divide %14, %15 : tensor<1x4xf32>
    %17 = stablehlo.multiply %13, %13 : tensor<1x4xf32>
    %18 = stablehlo.subtract %16, %17 : tensor<1x4xf32>
    %cst_4 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %19 = stablehlo.broadcast_in_dim %cst_4, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %20 = stablehlo.maximum %19, %18 : tensor<1x4xf32>
    %21 = stablehlo.broadcast_in_dim %13, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %22 = stablehlo.broadcast_in_dim %20, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %23 = stablehlo.broadcast_in_dim %21, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %24 = stablehlo.subtract %9, %23 : tensor<1x4x8xf32>
    %cst_5 = stablehlo.constant dense<9.99999996E-13> : tensor<f32>
    %25 = stablehlo.broadcast_in_dim %cst_5, dims = [] : (tensor<f32>) -> tensor<1x4x1xf32>
    %26 = stablehlo.add %22, %25 : tensor<1x4x1xf32>
    %27 = stablehlo.rsqrt %26 : tensor<1x4x1xf32>
    %28 = stablehlo.reshape %arg1 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %29 = stablehlo.broadcast_in_dim %27, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %30 = stablehlo.broadcast_in_dim %28, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %31 = stablehlo.multiply %29, %30 : tensor<1x4x8xf32>
    %32 = stablehlo.multiply %24, %31 : tensor<1x4x8xf32>
    %33 = stablehlo.reshape %arg0 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %34 = stablehlo.broadcast_in_dim %33, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %35 = stablehlo.add %32, %34 : tensor<1x4x8xf32>
    %36 = stablehlo.slice %4 [0:1, 0:2] : (tensor<1x2xi32>) -> tensor<1x2xi32>
    %37 = stablehlo.reshape %36 : (tensor<1x2xi32>) -> tensor<2xi32>
    %38 = stablehlo.dot_general %35, %arg12, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x8xf32>, tensor<8x8xf32>) -> tensor<1x4x8xf32>
    %39 = stablehlo.reshape %arg11 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %40 = stablehlo.broadcast_in_dim %39, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %41 = stablehlo.add %38, %40 : tensor<1x4x8xf32>
    %42 = stablehlo.dot_general %35, %arg10, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x8xf32>, tensor<8x8xf32>) -> tensor<1x4x8xf32>
    %43 = stablehlo.reshape %arg9 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %44 = stablehlo.broadcast_in_dim %43, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %45 = stablehlo.add %42, %44 : tensor<1x4x8xf32>
    %46 = stablehlo.dot_general %35, %arg14, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x8xf32>, tensor<8x8xf32>) -> tensor<1x4x8xf32>
    %47 = stablehlo.reshape %arg13 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %48 = stablehlo.broadcast_in_dim %47, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %49 = stablehlo.add %46, %48 : tensor<1x4x8xf32>
    %50 = stablehlo.reshape %41 : (tensor<1x4x8xf32>) -> tensor<1x4x2x4xf32>
    %51 = stablehlo.reshape %45 : (tensor<1x4x8xf32>) -> tensor<1x4x2x4xf32>
    %52 = stablehlo.reshape %49 : (tensor<1x4x8xf32>) -> tensor<1x4x2x4xf32>
    %53 = stablehlo.broadcast_in_dim %arg22, dims = [0, 3] : (tensor<1x4xi32>) -> tensor<1x1x1x4xi32>
    %c_6 = stablehlo.constant dense<0> : tensor<i32>
    %54 = stablehlo.broadcast_in_dim %c_6, dims = [] : (tensor<i32>) -> tensor<1x1x1x4xi32>
    %55 = stablehlo.compare  GT, %53, %54,  SIGNED : (tensor<1x1x1x4xi32>, tensor<1x1x1x4xi32>) -> tensor<1x1x1x4xi1>
    %cst_7 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %56 = stablehlo.broadcast_in_dim %cst_7, dims = [] : (tensor<f32>) -> tensor<1x1x1x4xf32>
    %57 = stablehlo.convert %56 : tensor<1x1x1x4xf32>
    %cst_8 = stablehlo.constant dense<-3.40282347E+38> : tensor<f32>
    %58 = stablehlo.broadcast_in_dim %cst_8, dims = [] : (tensor<f32>) -> tensor<1x1x1x4xf32>
    %59 = stablehlo.select %55, %57, %58 : tensor<1x1x1x4xi1>, tensor<1x1x1x4xf32>
    %cst_9 = stablehlo.constant dense<4.000000e+00> : tensor<f32>
    %60 = stablehlo.sqrt %cst_9 : tensor<f32>
    %61 = stablehlo.convert %60 : tensor<f32>
    %62 = stablehlo.broadcast_in_dim %61, dims = [] : (tensor<f32>) -> tensor<1x4x2x4xf32>
    %63 = stablehlo.divide %50, %62 : tensor<1x4x2x4xf32>
    %64 = stablehlo.dot_general %63, %51, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [DEFAULT, DEFAULT] : (tensor<1x4x2x4xf32>, tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
    %65 = stablehlo.broadcast_in_dim %59, dims = [0, 1, 2, 3] : (tensor<1x1x1x4xf32>) -> tensor<1x2x4x4xf32>
    %66 = stablehlo.add %64, %65 : tensor<1x2x4x4xf32>
    %cst_10 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %67 = stablehlo.reduce(%66 init: %cst_10) applies stablehlo.maximum across dimensions = [3] : (tensor<1x2x4x4xf32>, tensor<f32>) -> tensor<1x2x4xf32>
    %cst_11 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %68 = stablehlo.broadcast_in_dim %cst_11, dims = [] : (tensor<f32>) -> tensor<1x2x4xf32>
    %69 = stablehlo.maximum %68, %67 : tensor<1x2x4xf32>
    %70 = stablehlo.broadcast_in_dim %69, dims = [0, 1, 2] : (tensor<1x2x4xf32>) -> tensor<1x2x4x1xf32>
    %71 = stablehlo.broadcast_in_dim %70, dims = [0, 1, 2, 3] : (tensor<1x2x4x1xf32>) -> tensor<1x2x4x4xf32>
    %72 = stablehlo.subtract %66, %71 : tensor<1x2x4x4xf32>
    %73 = stablehlo.exponential %72 : tensor<1x2x4x4xf32>
    %cst_12 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %74 = stablehlo.reduce(%73 init: %cst_12) applies stablehlo.add across dimensions = [3] : (tensor<1x2x4x4xf32>, tensor<f32>) -> tensor<1x2x4xf32>
    %75 = stablehlo.broadcast_in_dim %74, dims = [0, 1, 2] : (tensor<1x2x4xf32>) -> tensor<1x2x4x1xf32>
    %76 = stablehlo.broadcast_in_dim %75, dims = [0, 1, 2, 3] : (tensor<1x2x4x1xf32>) -> tensor<1x2x4x4xf32>
    %77 = stablehlo.divide %73, %76 : tensor<1x2x4x4xf32>
    %78 = stablehlo.convert %37 : (tensor<2xi32>) -> tensor<2xf32>
    %79 = stablehlo.convert %77 : tensor<1x2x4x4xf32>
    %80 = stablehlo.dot_general %78, %79, batching_dims = [0] x [1], contracting_dims = [] x [], precision = [DEFAULT, DEFAULT] : (tensor<2xf32>, tensor<1x2x4x4xf32>) -> tensor<2x1x4x4xf32>
    %81 = stablehlo.transpose %80, dims = [1, 0, 2, 3] : (tensor<2x1x4x4xf32>) -> tensor<1x2x4x4xf32>
    %82 = stablehlo.dot_general %52, %81, batching_dims = [0, 2] x [0, 1], contracting_dims = [1] x [3], precision = [DEFAULT, DEFAULT] : (tensor<1x4x2x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    %83 = stablehlo.transpose %82, dims = [0, 3, 1, 2] : (tensor<1x2x4x4xf32>) -> tensor<1x4x2x4xf32>
    %84 = stablehlo.reshape %83 : (tensor<1x4x2x4xf32>) -> tensor<1x4x8xf32>
    %85 = stablehlo.dot_general %84, %arg8, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x8xf32>, tensor<8x8xf32>) -> tensor<1x4x8xf32>
    %86 = stablehlo.reshape %arg7 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %87 = stablehlo.broadcast_in_dim %86, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %88 = stablehlo.add %85, %87 : tensor<1x4x8xf32>
    %89 = stablehlo.add %88, %35 : tensor<1x4x8xf32>
    %90 = stablehlo.multiply %89, %89 : tensor<1x4x8xf32>
    %cst_13 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %91 = stablehlo.reduce(%89 init: %cst_13) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %cst_14 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %92 = stablehlo.broadcast_in_dim %cst_14, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %93 = stablehlo.divide %91, %92 : tensor<1x4xf32>
    %cst_15 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %94 = stablehlo.reduce(%90 init: %cst_15) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %cst_16 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %95 = stablehlo.broadcast_in_dim %cst_16, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %96 = stablehlo.divide %94, %95 : tensor<1x4xf32>
    %97 = stablehlo.multiply %93, %93 : tensor<1x4xf32>
    %98 = stablehlo.subtract %96, %97 : tensor<1x4xf32>
    %cst_17 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %99 = stablehlo.broadcast_in_dim %cst_17, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %100 = stablehlo.maximum %99, %98 : tensor<1x4xf32>
    %101 = stablehlo.broadcast_in_dim %93, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %102 = stablehlo.broadcast_in_dim %100, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %103 = stablehlo.broadcast_in_dim %101, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %104 = stablehlo.subtract %89, %103 : tensor<1x4x8xf32>
    %cst_18 = stablehlo.constant dense<9.99999996E-13> : tensor<f32>
    %105 = stablehlo.broadcast_in_dim %cst_18, dims = [] : (tensor<f32>) -> tensor<1x4x1xf32>
    %106 = stablehlo.add %102, %105 : tensor<1x4x1xf32>
    %107 = stablehlo.rsqrt %106 : tensor<1x4x1xf32>
    %108 = stablehlo.reshape %arg6 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %109 = stablehlo.broadcast_in_dim %107, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %110 = stablehlo.broadcast_in_dim %108, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %111 = stablehlo.multiply %109, %110 : tensor<1x4x8xf32>
    %112 = stablehlo.multiply %104, %111 : tensor<1x4x8xf32>
    %113 = stablehlo.reshape %arg5 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %114 = stablehlo.broadcast_in_dim %113, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %115 = stablehlo.add %112, %114 : tensor<1x4x8xf32>
    %116 = stablehlo.dot_general %115, %arg16, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x8xf32>, tensor<8x16xf32>) -> tensor<1x4x16xf32>
    %117 = stablehlo.reshape %arg15 : (tensor<16xf32>) -> tensor<1x1x16xf32>
    %118 = stablehlo.broadcast_in_dim %117, dims = [0, 1, 2] : (tensor<1x1x16xf32>) -> tensor<1x4x16xf32>
    %119 = stablehlo.add %116, %118 : tensor<1x4x16xf32>
    %cst_19 = stablehlo.constant dense<5.000000e-01> : tensor<f32>
    %120 = stablehlo.broadcast_in_dim %cst_19, dims = [] : (tensor<f32>) -> tensor<1x4x16xf32>
    %121 = stablehlo.multiply %120, %119 : tensor<1x4x16xf32>
    %122 = stablehlo.negate %119 : tensor<1x4x16xf32>
    %cst_20 = stablehlo.constant dense<0.707106769> : tensor<f32>
    %123 = stablehlo.broadcast_in_dim %cst_20, dims = [] : (tensor<f32>) -> tensor<1x4x16xf32>
    %124 = stablehlo.multiply %122, %123 : tensor<1x4x16xf32>
    %125 = chlo.erfc %124 : tensor<1x4x16xf32> -> tensor<1x4x16xf32>
    %126 = stablehlo.multiply %121, %125 : tensor<1x4x16xf32>
    %127 = stablehlo.dot_general %126, %arg20, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x16xf32>, tensor<16x8xf32>) -> tensor<1x4x8xf32>
    %128 = stablehlo.reshape %arg19 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %129 = stablehlo.broadcast_in_dim %128, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %130 = stablehlo.add %127, %129 : tensor<1x4x8xf32>
    %131 = stablehlo.add %130, %115 : tensor<1x4x8xf32>
    %132 = stablehlo.multiply %131, %131 : tensor<1x4x8xf32>
    %cst_21 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %133 = stablehlo.reduce(%131 init: %cst_21) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %cst_22 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %134 = stablehlo.broadcast_in_dim %cst_22, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %135 = stablehlo.divide %133, %134 : tensor<1x4xf32>
    %cst_23 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %136 = stablehlo.reduce(%132 init: %cst_23) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %cst_24 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %137 = stablehlo.broadcast_in_dim %cst_24, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %138 = stablehlo.divide %136, %137 : tensor<1x4xf32>
    %139 = stablehlo.multiply %135, %135 : tensor<1x4xf32>
    %140 = stablehlo.subtract %138, %139 : tensor<1x4xf32>
    %cst_25 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %141 = stablehlo.broadcast_in_dim %cst_25, dims = [] : (tensor<f32>) -> tensor<1x4xf32>
    %142 = stablehlo.maximum %141, %140 : tensor<1x4xf32>
    %143 = stablehlo.broadcast_in_dim %135, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %144 = stablehlo.broadcast_in_dim %142, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %145 = stablehlo.broadcast_in_dim %143, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %146 = stablehlo.subtract %131, %145 : tensor<1x4x8xf32>
    %cst_26 = stablehlo.constant dense<9.99999996E-13> : tensor<f32>
    %147 = stablehlo.broadcast_in_dim %cst_26, dims = [] : (tensor<f32>) -> tensor<1x4x1xf32>
    %148 = stablehlo.add %144, %147 : tensor<1x4x1xf32>
    %149 = stablehlo.rsqrt %148 : tensor<1x4x1xf32>
    %150 = stablehlo.reshape %arg18 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %151 = stablehlo.broadcast_in_dim %149, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %152 = stablehlo.broadcast_in_dim %150, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %153 = stablehlo.multiply %151, %152 : tensor<1x4x8xf32>
    %154 = stablehlo.multiply %146, %153 : tensor<1x4x8xf32>
    %155 = stablehlo.reshape %arg17 : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %156 = stablehlo.broadcast_in_dim %155, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %157 = stablehlo.add %154, %156 : tensor<1x4x8xf32>
    return %157 : tensor<1x4x8xf32>
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
  func.func private @_take_1(%arg0: tensor<2x8xf32> {mhlo.layout_mode = "default"}, %arg1: tensor<1x4xi32> {mhlo.layout_mode = "default"}) -> (tensor<1x4x8xf32> {mhlo.layout_mode = "default"}) {
    %c = stablehlo.constant dense<0> : tensor<i32>
    %0 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<i32>) -> tensor<1x4xi32>
    %1 = stablehlo.compare  LT, %arg1, %0,  SIGNED : (tensor<1x4xi32>, tensor<1x4xi32>) -> tensor<1x4xi1>
    %c_0 = stablehlo.constant dense<2> : tensor<i32>
    %2 = stablehlo.broadcast_in_dim %c_0, dims = [] : (tensor<i32>) -> tensor<1x4xi32>
    %3 = stablehlo.add %arg1, %2 : tensor<1x4xi32>
    %4 = call @_where(%1, %3, %arg1) : (tensor<1x4xi1>, tensor<1x4xi32>, tensor<1x4xi32>) -> tensor<1x4xi32>
    %5 = stablehlo.broadcast_in_dim %4, dims = [0, 1] : (tensor<1x4xi32>) -> tensor<1x4x1xi32>
    %c_1 = stablehlo.constant dense<0> : tensor<1xi32>
    %c_2 = stablehlo.constant dense<0> : tensor<1xi32>
    %c_3 = stablehlo.constant dense<2> : tensor<i32>
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
    %34 = "stablehlo.gather"(%arg0, %5) <{dimension_numbers = #stablehlo.gather<offset_dims = [2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 2>, indices_are_sorted = false, slice_sizes = array<i64: 1, 8>}> : (tensor<2x8xf32>, tensor<1x4x1xi32>) -> tensor<1x4x8xf32>
    %35 = stablehlo.broadcast_in_dim %33, dims = [0, 1] : (tensor<1x4xi1>) -> tensor<1x4x8xi1>
    %cst = stablehlo.constant dense<0x7FC00000> : tensor<f32>
    %36 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<1x4x8xf32>
    %37 = stablehlo.select %35, %34, %36 : tensor<1x4x8xi1>, tensor<1x4x8xf32>
    return %37 : tensor<1x4x8xf32>
  }
}
