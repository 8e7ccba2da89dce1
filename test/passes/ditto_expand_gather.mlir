// RUN: ditto-opt %s --split-input-file --ditto-expand-gather | filecheck %s

// Below 0 and above 4 an index means the nearest place; all comparisons can run at once.
// CHECK-LABEL: func.func @element(
// CHECK:         %[[I:.*]] = stablehlo.reshape %arg1 : (tensor<i32>) -> tensor<1xi32>
// CHECK:         stablehlo.constant dense<[1, 2, 3]> : tensor<3xi32>
// CHECK:         %[[MIDDLE:.*]] = stablehlo.compare EQ, {{.*}} -> tensor<1x3xi1>
// CHECK:         %[[FIRST:.*]] = stablehlo.compare LE, %[[I]], {{.*}} -> tensor<1xi1>
// CHECK:         %[[LAST:.*]] = stablehlo.compare GE, %[[I]], {{.*}} -> tensor<1xi1>
// CHECK:         stablehlo.concatenate {{.*}}, %[[MIDDLE]], {{.*}} -> tensor<1x5xi1>
// CHECK:         %[[HOT:.*]] = stablehlo.select {{.*}} : tensor<1x1x5xi1>, tensor<1x1x5xf32>
// CHECK:         stablehlo.dot_general {{.*}} contracting_dims = [1] x [0] : (tensor<1x5xf32>, tensor<5x1xf32>) -> tensor<1x1xf32>
func.func @element(%x: tensor<5xf32>, %i: tensor<i32>) -> tensor<1xf32> {
  %0 = stablehlo.dynamic_slice %x, %i, sizes = [1] : (tensor<5xf32>, tensor<i32>) -> tensor<1xf32>
  return %0 : tensor<1xf32>
}

// -----

// The engine moves elements by public indices, and ditto-approximate has forms of lookups by secret ones.
// CHECK-LABEL: func.func @public(
// CHECK-NEXT:    stablehlo.dynamic_slice
// CHECK-NEXT:    return
func.func @public(%x: tensor<5xf32>, %i: tensor<i32> {ditto.visibility = "public"}) -> tensor<1xf32> {
  %0 = stablehlo.dynamic_slice %x, %i, sizes = [1] : (tensor<5xf32>, tensor<i32>) -> tensor<1xf32>
  return %0 : tensor<1xf32>
}

// -----

// CHECK-LABEL: func.func @lookup(
// CHECK-NEXT:    "stablehlo.gather"
// CHECK-NEXT:    return
func.func @lookup(%x: tensor<5x3xf32>, %i: tensor<2x1xi32>) -> tensor<2x3xf32> {
  %0 = "stablehlo.gather"(%x, %i) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 3>}> : (tensor<5x3xf32>, tensor<2x1xi32>) -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}

// -----

// x[arange(3), i]: one product for each row, and no comparison of the rows.
// CHECK-LABEL: func.func @known_rows(
// CHECK-NOT:     stablehlo.gather
// CHECK:         stablehlo.compare EQ, {{.*}} -> tensor<3x5xi1>
// CHECK:         stablehlo.dot_general {{.*}} batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<3x1x7xf32>, tensor<3x7x1xf32>) -> tensor<3x1x1xf32>
// CHECK-NOT:     stablehlo.compare EQ
func.func @known_rows(%x: tensor<3x7xf32>, %i: tensor<3xi32>) -> tensor<3xf32> {
  %r = stablehlo.iota dim = 0 : tensor<3x1xi32>
  %c = stablehlo.reshape %i : (tensor<3xi32>) -> tensor<3x1xi32>
  %rc = stablehlo.concatenate %r, %c, dim = 1 : (tensor<3x1xi32>, tensor<3x1xi32>) -> tensor<3x2xi32>
  %0 = "stablehlo.gather"(%x, %rc) <{dimension_numbers = #stablehlo.gather<collapsed_slice_dims = [0, 1], start_index_map = [0, 1], index_vector_dim = 1>, slice_sizes = array<i64: 1, 1>}> : (tensor<3x7xf32>, tensor<3x2xi32>) -> tensor<3xf32>
  return %0 : tensor<3xf32>
}

// -----

// 0 or 1 is never out of range. What is chosen is as large as what there was, in integers too.
// CHECK-LABEL: func.func @in_range(
// CHECK-NOT:     stablehlo.compare {{GE|LE}}
// CHECK:         stablehlo.compare EQ, {{.*}} -> tensor<1x7xi1>
// CHECK-NOT:     stablehlo.compare
// CHECK:         stablehlo.dot_general {{.*}} : (tensor<1x7xi32>, tensor<7x5xi32>) -> tensor<1x5xi32>
func.func @in_range(%x: tensor<5x7xi32>, %b: tensor<i1>) -> tensor<5x1xi32> {
  %0 = stablehlo.constant dense<0> : tensor<i32>
  %i = stablehlo.convert %b : (tensor<i1>) -> tensor<i32>
  %1 = stablehlo.dynamic_slice %x, %0, %i, sizes = [5, 1] : (tensor<5x7xi32>, tensor<i32>, tensor<i32>) -> tensor<5x1xi32>
  return %1 : tensor<5x1xi32>
}

// -----

// Of 5 elements there are 4 windows of 2.
// CHECK-LABEL: func.func @window(
// CHECK-DAG:     stablehlo.slice {{.*}} [0:1, 0:1, 0:4, 0:1]
// CHECK-DAG:     stablehlo.slice {{.*}} [0:1, 0:1, 1:5, 0:1]
// CHECK:         stablehlo.compare EQ, {{.*}} -> tensor<1x2xi1>
// CHECK:         stablehlo.dot_general {{.*}} : (tensor<1x4xf32>, tensor<4x2xf32>) -> tensor<1x2xf32>
func.func @window(%x: tensor<5xf32>, %i: tensor<i32>) -> tensor<2xf32> {
  %0 = stablehlo.dynamic_slice %x, %i, sizes = [2] : (tensor<5xf32>, tensor<i32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// -----

// 7 and 16 equalities instead of 98.
// CHECK-LABEL: func.func @many(
// CHECK:         stablehlo.compare GT, {{.*}} -> tensor<1xi1>
// CHECK:         stablehlo.compare LT, {{.*}} -> tensor<1xi1>
// CHECK:         stablehlo.shift_right_arithmetic
// CHECK:         stablehlo.compare EQ, {{.*}} -> tensor<1x7xi1>
// CHECK:         stablehlo.compare EQ, {{.*}} -> tensor<1x16xi1>
// CHECK:         stablehlo.and {{.*}} : tensor<1x7x16xi1>
// CHECK-NOT:     stablehlo.compare
func.func @many(%x: tensor<100xf32>, %i: tensor<i32>) -> tensor<1xf32> {
  %0 = stablehlo.dynamic_slice %x, %i, sizes = [1] : (tensor<100xf32>, tensor<i32>) -> tensor<1xf32>
  return %0 : tensor<1xf32>
}

// -----

// CHECK-LABEL: func.func @booleans(
// CHECK:         stablehlo.and
// CHECK:         stablehlo.reduce({{.*}} applies stablehlo.or across dimensions = [2]
// CHECK-NOT:     stablehlo.dot_general
func.func @booleans(%x: tensor<3xi1>, %i: tensor<i32>) -> tensor<1xi1> {
  %0 = stablehlo.dynamic_slice %x, %i, sizes = [1] : (tensor<3xi1>, tensor<i32>) -> tensor<1xi1>
  return %0 : tensor<1xi1>
}

// -----

// Where no element of the window goes, the old one stays.
// CHECK-LABEL: func.func @update(
// CHECK:         %[[WRITTEN:.*]] = stablehlo.reduce({{.*}} applies stablehlo.or across dimensions = [1] : (tensor<1x2x5xi1>, tensor<i1>) -> tensor<1x5xi1>
// CHECK:         stablehlo.dot_general {{.*}} : (tensor<5x2xf32>, tensor<2x1xf32>) -> tensor<5x1xf32>
// CHECK:         stablehlo.select {{.*}} : tensor<1x5x1xi1>, tensor<1x5x1xf32>
func.func @update(%x: tensor<5xf32>, %u: tensor<2xf32>, %i: tensor<i32>) -> tensor<5xf32> {
  %0 = stablehlo.dynamic_update_slice %x, %u, %i : (tensor<5xf32>, tensor<2xf32>, tensor<i32>) -> tensor<5xf32>
  return %0 : tensor<5xf32>
}

// -----

// CHECK-LABEL: func.func @batches(
// CHECK-NEXT:    %[[B:.*]] = stablehlo.iota dim = 0 : tensor<4x2x1xi32>
// CHECK-NEXT:    %[[BI:.*]] = stablehlo.concatenate %[[B]], %arg1, dim = 2
// CHECK-NEXT:    "stablehlo.gather"(%arg0, %[[BI]]) {{.*}}collapsed_slice_dims = [0, 1], start_index_map = [0, 1], index_vector_dim = 2
func.func @batches(%x: tensor<4x8xf32>, %i: tensor<4x2x1xi32> {ditto.visibility = "public"}) -> tensor<4x2xf32> {
  %0 = "stablehlo.gather"(%x, %i) <{dimension_numbers = #stablehlo.gather<collapsed_slice_dims = [1], operand_batching_dims = [0], start_indices_batching_dims = [0], start_index_map = [1], index_vector_dim = 2>, slice_sizes = array<i64: 1, 1>}> : (tensor<4x8xf32>, tensor<4x2x1xi32>) -> tensor<4x2xf32>
  return %0 : tensor<4x2xf32>
}

// -----

// The fill of what is out of range, of which another test has decided the other side, and a choice by
// something else, which is not ours to change.
// CHECK-LABEL: func.func @filled(
// CHECK:         %[[NAN:.*]] = stablehlo.constant dense<0x7FC00000>
// CHECK:         %[[ZERO:.*]] = stablehlo.constant dense<0.000000e+00>
// CHECK:         stablehlo.select {{.*}}, %[[ZERO]]
// CHECK:         stablehlo.select {{.*}}, %[[NAN]]
func.func @filled(%x: tensor<3x7xf32>, %i: tensor<2x1xi32> {ditto.visibility = "public"}) -> (tensor<3x2xf32>, tensor<3x2xf32>) {
  %zero = stablehlo.constant dense<0> : tensor<2x1xi32>
  %six = stablehlo.constant dense<6> : tensor<2x1xi32>
  %five = stablehlo.constant dense<5> : tensor<2x1xi32>
  %nan = stablehlo.constant dense<0x7FC00000> : tensor<3x2xf32>
  %0 = "stablehlo.gather"(%x, %i) <{dimension_numbers = #stablehlo.gather<offset_dims = [0], collapsed_slice_dims = [1], start_index_map = [1], index_vector_dim = 1>, slice_sizes = array<i64: 3, 1>}> : (tensor<3x7xf32>, tensor<2x1xi32>) -> tensor<3x2xf32>
  %1 = stablehlo.compare LE, %i, %six : (tensor<2x1xi32>, tensor<2x1xi32>) -> tensor<2x1xi1>
  %2 = stablehlo.reshape %1 : (tensor<2x1xi1>) -> tensor<2xi1>
  %3 = stablehlo.broadcast_in_dim %2, dims = [1] : (tensor<2xi1>) -> tensor<3x2xi1>
  %4 = stablehlo.select %3, %0, %nan : tensor<3x2xi1>, tensor<3x2xf32>
  %5 = stablehlo.compare LE, %i, %five : (tensor<2x1xi32>, tensor<2x1xi32>) -> tensor<2x1xi1>
  %6 = stablehlo.reshape %5 : (tensor<2x1xi1>) -> tensor<2xi1>
  %7 = stablehlo.broadcast_in_dim %6, dims = [1] : (tensor<2xi1>) -> tensor<3x2xi1>
  %8 = stablehlo.select %7, %0, %nan : tensor<3x2xi1>, tensor<3x2xf32>
  return %4, %8 : tensor<3x2xf32>, tensor<3x2xf32>
}
