// RUN: ditto-opt %s --inline-calls --legalize-chlo --canonicalize --cse --ditto-approximate='policy=ditto' --ditto-choose-functions='beside=none' | filecheck %s
// transformers.FlaxLlamaModel; jax 0.4.34, flax 0.10.0, transformers 4.57.6; by test/recognizers/capture.py.
// Functions: embedding rms_norm embedding softmax rms_norm silu rms_norm

// CHECK-LABEL: func.func public @main(
// CHECK-NOT: stablehlo.exponential
module @jit_run attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<12x8xf32> {mhlo.layout_mode = "default"}, %arg1: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg2: tensor<16x8xf32> {mhlo.layout_mode = "default"}, %arg3: tensor<8x16xf32> {mhlo.layout_mode = "default"}, %arg4: tensor<8x16xf32> {mhlo.layout_mode = "default"}, %arg5: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg6: tensor<8x8xf32> {mhlo.layout_mode = "default"}, %arg7: tensor<8x8xf32> {mhlo.layout_mode = "default"}, %arg8: tensor<8x8xf32> {mhlo.layout_mode = "default"}, %arg9: tensor<8x8xf32> {mhlo.layout_mode = "default"}, %arg10: tensor<8xf32> {mhlo.layout_mode = "default"}, %arg11: tensor<1x4xi32> {mhlo.layout_mode = "default"}, %arg12: tensor<1x4xi32> {mhlo.layout_mode = "default"}) -> (tensor<1x4x8xf32> {jax.result_info = "", mhlo.layout_mode = "default"}) {
    %cst = stablehlo.constant dense<[[[0.000000e+00, 0.000000e+00, 0.000000e+00, 0.000000e+00, 1.000000e+00, 1.000000e+00, 1.000000e+00, 1.000000e+00]], [[8.414710e-01, 0.00999983306, 8.414710e-01, 0.00999983306, 0.540302277, 0.999949991, 0.540302277, 0.999949991]], [[0.909297406, 0.0199986659, 0.909297406, 0.0199986659, -0.416146815, 9.998000e-01, -0.416146815, 9.998000e-01]], [[1.411200e-01, 2.999550e-02, 1.411200e-01, 2.999550e-02, -0.989992499, 0.999550044, -0.989992499, 0.999550044]], [[-0.756802499, 0.0399893336, -0.756802499, 0.0399893336, -0.653643608, 0.999200105, -0.653643608, 0.999200105]], [[-0.958924293, 0.0499791689, -0.958924293, 0.0499791689, 0.28366217, 0.998750269, 0.28366217, 0.998750269]], [[-0.279415488, 0.0599640049, -0.279415488, 0.0599640049, 0.960170269, 0.998200535, 0.960170269, 0.998200535]], [[0.656986594, 0.0699428469, 0.656986594, 0.0699428469, 0.753902256, 9.975510e-01, 0.753902256, 9.975510e-01]]]> : tensor<8x1x8xf32>
    %0 = stablehlo.iota dim = 0 : tensor<4xi32>
    %1 = stablehlo.broadcast_in_dim %0, dims = [1] : (tensor<4xi32>) -> tensor<1x4xi32>
    %2 = call @_take(%arg0, %arg11) : (tensor<12x8xf32>, tensor<1x4xi32>) -> tensor<1x4x8xf32>
    %3 = stablehlo.multiply %2, %2 : tensor<1x4x8xf32>
    %cst_0 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %4 = stablehlo.reduce(%3 init: %cst_0) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %5 = stablehlo.broadcast_in_dim %4, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %cst_1 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %6 = stablehlo.broadcast_in_dim %cst_1, dims = [] : (tensor<f32>) -> tensor<1x4x1xf32>
    %7 = stablehlo.divide %5, %6 : tensor<1x4x1xf32>
    %cst_2 = stablehlo.constant dense<9.99999997E-7> : tensor<f32>
    %8 = stablehlo.broadcast_in_dim %cst_2, dims = [] : (tensor<f32>) -> tensor<1x4x1xf32>
    %9 = stablehlo.add %7, %8 : tensor<1x4x1xf32>
    %10 = stablehlo.sqrt %9 : tensor<1x4x1xf32>
    %11 = stablehlo.broadcast_in_dim %10, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %12 = stablehlo.divide %2, %11 : tensor<1x4x8xf32>
    %13 = stablehlo.broadcast_in_dim %arg1, dims = [2] : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %14 = stablehlo.broadcast_in_dim %13, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %15 = stablehlo.multiply %14, %12 : tensor<1x4x8xf32>
    %16 = stablehlo.iota dim = 0 : tensor<8xi32>
    %17 = stablehlo.broadcast_in_dim %16, dims = [1] : (tensor<8xi32>) -> tensor<1x8xi32>
    %18 = stablehlo.broadcast_in_dim %17, dims = [0, 1] : (tensor<1x8xi32>) -> tensor<1x8x1xi32>
    %19 = stablehlo.broadcast_in_dim %17, dims = [0, 2] : (tensor<1x8xi32>) -> tensor<1x1x8xi32>
    %20 = stablehlo.broadcast_in_dim %18, dims = [0, 1, 2] : (tensor<1x8x1xi32>) -> tensor<1x8x8xi32>
    %21 = stablehlo.broadcast_in_dim %19, dims = [0, 1, 2] : (tensor<1x1x8xi32>) -> tensor<1x8x8xi32>
    %22 = stablehlo.compare  GE, %20, %21,  SIGNED : (tensor<1x8x8xi32>, tensor<1x8x8xi32>) -> tensor<1x8x8xi1>
    %23 = stablehlo.broadcast_in_dim %22, dims = [0, 2, 3] : (tensor<1x8x8xi1>) -> tensor<1x1x8x8xi1>
    %24 = stablehlo.dot_general %15, %arg8, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x8xf32>, tensor<8x8xf32>) -> tensor<1x4x8xf32>
    %25 = stablehlo.dot_general %15, %arg6, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x8xf32>, tensor<8x8xf32>) -> tensor<1x4x8xf32>
    %26 = stablehlo.dot_general %15, %arg9, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x8xf32>, tensor<8x8xf32>) -> tensor<1x4x8xf32>
    %27 = stablehlo.reshape %24 : (tensor<1x4x8xf32>) -> tensor<1x4x2x4xf32>
    %28 = stablehlo.reshape %25 : (tensor<1x4x8xf32>) -> tensor<1x4x2x4xf32>
    %29 = stablehlo.reshape %26 : (tensor<1x4x8xf32>) -> tensor<1x4x2x4xf32>
    %c = stablehlo.constant dense<0> : tensor<i32>
    %30 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<i32>) -> tensor<1x4xi32>
    %31 = stablehlo.compare  LT, %1, %30,  SIGNED : (tensor<1x4xi32>, tensor<1x4xi32>) -> tensor<1x4xi1>
    %c_3 = stablehlo.constant dense<8> : tensor<i32>
    %32 = stablehlo.broadcast_in_dim %c_3, dims = [] : (tensor<i32>) -> tensor<1x4xi32>
    %33 = stablehlo.add %1, %32 : tensor<1x4xi32>
    %34 = stablehlo.select %31, %33, %1 : tensor<1x4xi1>, tensor<1x4xi32>
    %35 = stablehlo.broadcast_in_dim %34, dims = [0, 1] : (tensor<1x4xi32>) -> tensor<1x4x1xi32>
    %36 = "stablehlo.gather"(%cst, %35) <{dimension_numbers = #stablehlo.gather<offset_dims = [2, 3], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 2>, indices_are_sorted = false, slice_sizes = array<i64: 1, 1, 8>}> : (tensor<8x1x8xf32>, tensor<1x4x1xi32>) -> tensor<1x4x1x8xf32>
    %37 = stablehlo.slice %36 [0:1, 0:4, 0:1, 0:4] : (tensor<1x4x1x8xf32>) -> tensor<1x4x1x4xf32>
    %38 = stablehlo.slice %36 [0:1, 0:4, 0:1, 4:8] : (tensor<1x4x1x8xf32>) -> tensor<1x4x1x4xf32>
    %39 = stablehlo.broadcast_in_dim %38, dims = [0, 1, 2, 3] : (tensor<1x4x1x4xf32>) -> tensor<1x4x2x4xf32>
    %40 = stablehlo.multiply %28, %39 : tensor<1x4x2x4xf32>
    %41 = stablehlo.slice %28 [0:1, 0:4, 0:2, 2:4] : (tensor<1x4x2x4xf32>) -> tensor<1x4x2x2xf32>
    %42 = stablehlo.negate %41 : tensor<1x4x2x2xf32>
    %43 = stablehlo.slice %28 [0:1, 0:4, 0:2, 0:2] : (tensor<1x4x2x4xf32>) -> tensor<1x4x2x2xf32>
    %44 = stablehlo.concatenate %42, %43, dim = 3 : (tensor<1x4x2x2xf32>, tensor<1x4x2x2xf32>) -> tensor<1x4x2x4xf32>
    %45 = stablehlo.broadcast_in_dim %37, dims = [0, 1, 2, 3] : (tensor<1x4x1x4xf32>) -> tensor<1x4x2x4xf32>
    %46 = stablehlo.multiply %44, %45 : tensor<1x4x2x4xf32>
    %47 = stablehlo.add %40, %46 : tensor<1x4x2x4xf32>
    %48 = stablehlo.broadcast_in_dim %38, dims = [0, 1, 2, 3] : (tensor<1x4x1x4xf32>) -> tensor<1x4x2x4xf32>
    %49 = stablehlo.multiply %27, %48 : tensor<1x4x2x4xf32>
    %50 = stablehlo.slice %27 [0:1, 0:4, 0:2, 2:4] : (tensor<1x4x2x4xf32>) -> tensor<1x4x2x2xf32>
    %51 = stablehlo.negate %50 : tensor<1x4x2x2xf32>
    %52 = stablehlo.slice %27 [0:1, 0:4, 0:2, 0:2] : (tensor<1x4x2x4xf32>) -> tensor<1x4x2x2xf32>
    %53 = stablehlo.concatenate %51, %52, dim = 3 : (tensor<1x4x2x2xf32>, tensor<1x4x2x2xf32>) -> tensor<1x4x2x4xf32>
    %54 = stablehlo.broadcast_in_dim %37, dims = [0, 1, 2, 3] : (tensor<1x4x1x4xf32>) -> tensor<1x4x2x4xf32>
    %55 = stablehlo.multiply %53, %54 : tensor<1x4x2x4xf32>
    %56 = stablehlo.add %49, %55 : tensor<1x4x2x4xf32>
    %57 = stablehlo.slice %23 [0:1, 0:1, 0:4, 0:4] : (tensor<1x1x8x8xi1>) -> tensor<1x1x4x4xi1>
    %58 = stablehlo.broadcast_in_dim %arg12, dims = [0, 3] : (tensor<1x4xi32>) -> tensor<1x1x1x4xi32>
    %59 = stablehlo.broadcast_in_dim %58, dims = [0, 1, 2, 3] : (tensor<1x1x1x4xi32>) -> tensor<1x1x4x4xi32>
    %60 = stablehlo.convert %57 : (tensor<1x1x4x4xi1>) -> tensor<1x1x4x4xi32>
    %c_4 = stablehlo.constant dense<0> : tensor<i32>
    %61 = stablehlo.broadcast_in_dim %c_4, dims = [] : (tensor<i32>) -> tensor<1x1x4x4xi32>
    %62 = stablehlo.compare  NE, %59, %61,  SIGNED : (tensor<1x1x4x4xi32>, tensor<1x1x4x4xi32>) -> tensor<1x1x4x4xi1>
    %c_5 = stablehlo.constant dense<0> : tensor<i32>
    %63 = stablehlo.broadcast_in_dim %c_5, dims = [] : (tensor<i32>) -> tensor<1x1x4x4xi32>
    %64 = stablehlo.compare  NE, %60, %63,  SIGNED : (tensor<1x1x4x4xi32>, tensor<1x1x4x4xi32>) -> tensor<1x1x4x4xi1>
    %65 = stablehlo.and %62, %64 : tensor<1x1x4x4xi1>
    %66 = stablehlo.convert %65 : (tensor<1x1x4x4xi1>) -> tensor<1x1x4x4xf32>
    %67 = stablehlo.broadcast_in_dim %47, dims = [0, 1, 2, 4] : (tensor<1x4x2x4xf32>) -> tensor<1x4x2x1x4xf32>
    %68 = stablehlo.reshape %67 : (tensor<1x4x2x1x4xf32>) -> tensor<1x4x2x4xf32>
    %69 = stablehlo.broadcast_in_dim %29, dims = [0, 1, 2, 4] : (tensor<1x4x2x4xf32>) -> tensor<1x4x2x1x4xf32>
    %70 = stablehlo.reshape %69 : (tensor<1x4x2x1x4xf32>) -> tensor<1x4x2x4xf32>
    %cst_6 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %71 = stablehlo.broadcast_in_dim %cst_6, dims = [] : (tensor<f32>) -> tensor<1x1x4x4xf32>
    %72 = stablehlo.compare  GT, %66, %71,  FLOAT : (tensor<1x1x4x4xf32>, tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xi1>
    %cst_7 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %73 = stablehlo.broadcast_in_dim %cst_7, dims = [] : (tensor<f32>) -> tensor<1x1x4x4xf32>
    %74 = stablehlo.convert %73 : tensor<1x1x4x4xf32>
    %cst_8 = stablehlo.constant dense<-3.40282347E+38> : tensor<f32>
    %75 = stablehlo.broadcast_in_dim %cst_8, dims = [] : (tensor<f32>) -> tensor<1x1x4x4xf32>
    %76 = stablehlo.select %72, %74, %75 : tensor<1x1x4x4xi1>, tensor<1x1x4x4xf32>
    %cst_9 = stablehlo.constant dense<4.000000e+00> : tensor<f32>
    %77 = stablehlo.sqrt %cst_9 : tensor<f32>
    %78 = stablehlo.convert %77 : tensor<f32>
    %79 = stablehlo.broadcast_in_dim %78, dims = [] : (tensor<f32>) -> tensor<1x4x2x4xf32>
    %80 = stablehlo.divide %56, %79 : tensor<1x4x2x4xf32>
    %81 = stablehlo.dot_general %80, %68, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [DEFAULT, DEFAULT] : (tensor<1x4x2x4xf32>, tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
    %82 = stablehlo.broadcast_in_dim %76, dims = [0, 1, 2, 3] : (tensor<1x1x4x4xf32>) -> tensor<1x2x4x4xf32>
    %83 = stablehlo.add %81, %82 : tensor<1x2x4x4xf32>
    %cst_10 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %84 = stablehlo.reduce(%83 init: %cst_10) applies stablehlo.maximum across dimensions = [3] : (tensor<1x2x4x4xf32>, tensor<f32>) -> tensor<1x2x4xf32>
    %cst_11 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %85 = stablehlo.broadcast_in_dim %cst_11, dims = [] : (tensor<f32>) -> tensor<1x2x4xf32>
    %86 = stablehlo.maximum %85, %84 : tensor<1x2x4xf32>
    %87 = stablehlo.broadcast_in_dim %86, dims = [0, 1, 2] : (tensor<1x2x4xf32>) -> tensor<1x2x4x1xf32>
    %88 = stablehlo.broadcast_in_dim %87, dims = [0, 1, 2, 3] : (tensor<1x2x4x1xf32>) -> tensor<1x2x4x4xf32>
    %89 = stablehlo.subtract %83, %88 : tensor<1x2x4x4xf32>
    %90 = stablehlo.exponential %89 : tensor<1x2x4x4xf32>
    %cst_12 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %91 = stablehlo.reduce(%90 init: %cst_12) applies stablehlo.add across dimensions = [3] : (tensor<1x2x4x4xf32>, tensor<f32>) -> tensor<1x2x4xf32>
    %92 = stablehlo.broadcast_in_dim %91, dims = [0, 1, 2] : (tensor<1x2x4xf32>) -> tensor<1x2x4x1xf32>
    %93 = stablehlo.broadcast_in_dim %92, dims = [0, 1, 2, 3] : (tensor<1x2x4x1xf32>) -> tensor<1x2x4x4xf32>
    %94 = stablehlo.divide %90, %93 : tensor<1x2x4x4xf32>
    %95 = stablehlo.dot_general %70, %94, batching_dims = [0, 2] x [0, 1], contracting_dims = [1] x [3], precision = [DEFAULT, DEFAULT] : (tensor<1x4x2x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    %96 = stablehlo.transpose %95, dims = [0, 3, 1, 2] : (tensor<1x2x4x4xf32>) -> tensor<1x4x2x4xf32>
    %97 = stablehlo.reshape %96 : (tensor<1x4x2x4xf32>) -> tensor<1x4x8xf32>
    %98 = stablehlo.dot_general %97, %arg7, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x8xf32>, tensor<8x8xf32>) -> tensor<1x4x8xf32>
    %99 = stablehlo.add %2, %98 : tensor<1x4x8xf32>
    %100 = stablehlo.multiply %99, %99 : tensor<1x4x8xf32>
    %cst_13 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %101 = stablehlo.reduce(%100 init: %cst_13) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %102 = stablehlo.broadcast_in_dim %101, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %cst_14 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %103 = stablehlo.broadcast_in_dim %cst_14, dims = [] : (tensor<f32>) -> tensor<1x4x1xf32>
    %104 = stablehlo.divide %102, %103 : tensor<1x4x1xf32>
    %cst_15 = stablehlo.constant dense<9.99999997E-7> : tensor<f32>
    %105 = stablehlo.broadcast_in_dim %cst_15, dims = [] : (tensor<f32>) -> tensor<1x4x1xf32>
    %106 = stablehlo.add %104, %105 : tensor<1x4x1xf32>
    %107 = stablehlo.sqrt %106 : tensor<1x4x1xf32>
    %108 = stablehlo.broadcast_in_dim %107, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %109 = stablehlo.divide %99, %108 : tensor<1x4x8xf32>
    %110 = stablehlo.broadcast_in_dim %arg5, dims = [2] : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %111 = stablehlo.broadcast_in_dim %110, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %112 = stablehlo.multiply %111, %109 : tensor<1x4x8xf32>
    %113 = stablehlo.dot_general %112, %arg4, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x8xf32>, tensor<8x16xf32>) -> tensor<1x4x16xf32>
    %114 = stablehlo.dot_general %112, %arg3, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x8xf32>, tensor<8x16xf32>) -> tensor<1x4x16xf32>
    %115 = call @silu(%114) : (tensor<1x4x16xf32>) -> tensor<1x4x16xf32>
    %116 = stablehlo.multiply %113, %115 : tensor<1x4x16xf32>
    %117 = stablehlo.dot_general %116, %arg2, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] : (tensor<1x4x16xf32>, tensor<16x8xf32>) -> tensor<1x4x8xf32>
    %118 = stablehlo.add %99, %117 : tensor<1x4x8xf32>
    %119 = stablehlo.multiply %118, %118 : tensor<1x4x8xf32>
    %cst_16 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %120 = stablehlo.reduce(%119 init: %cst_16) applies stablehlo.add across dimensions = [2] : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4xf32>
    %121 = stablehlo.broadcast_in_dim %120, dims = [0, 1] : (tensor<1x4xf32>) -> tensor<1x4x1xf32>
    %cst_17 = stablehlo.constant dense<8.000000e+00> : tensor<f32>
    %122 = stablehlo.broadcast_in_dim %cst_17, dims = [] : (tensor<f32>) -> tensor<1x4x1xf32>
    %123 = stablehlo.divide %121, %122 : tensor<1x4x1xf32>
    %cst_18 = stablehlo.constant dense<9.99999997E-7> : tensor<f32>
    %124 = stablehlo.broadcast_in_dim %cst_18, dims = [] : (tensor<f32>) -> tensor<1x4x1xf32>
    %125 = stablehlo.add %123, %124 : tensor<1x4x1xf32>
    %126 = stablehlo.sqrt %125 : tensor<1x4x1xf32>
    %127 = stablehlo.broadcast_in_dim %126, dims = [0, 1, 2] : (tensor<1x4x1xf32>) -> tensor<1x4x8xf32>
    %128 = stablehlo.divide %118, %127 : tensor<1x4x8xf32>
    %129 = stablehlo.broadcast_in_dim %arg10, dims = [2] : (tensor<8xf32>) -> tensor<1x1x8xf32>
    %130 = stablehlo.broadcast_in_dim %129, dims = [0, 1, 2] : (tensor<1x1x8xf32>) -> tensor<1x4x8xf32>
    %131 = stablehlo.multiply %130, %128 : tensor<1x4x8xf32>
    return %131 : tensor<1x4x8xf32>
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
  func.func private @silu(%arg0: tensor<1x4x16xf32> {mhlo.layout_mode = "default"}) -> (tensor<1x4x16xf32> {mhlo.layout_mode = "default"}) {
    %0 = stablehlo.negate %arg0 : tensor<1x4x16xf32>
    %1 = stablehlo.exponential %0 : tensor<1x4x16xf32>
    %cst = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %2 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<1x4x16xf32>
    %3 = stablehlo.add %2, %1 : tensor<1x4x16xf32>
    %cst_0 = stablehlo.constant dense<1.000000e+00> : tensor<f32>
    %4 = stablehlo.broadcast_in_dim %cst_0, dims = [] : (tensor<f32>) -> tensor<1x4x16xf32>
    %5 = stablehlo.divide %4, %3 : tensor<1x4x16xf32>
    %6 = stablehlo.multiply %arg0, %5 : tensor<1x4x16xf32>
    return %6 : tensor<1x4x16xf32>
  }
}
