// RUN: ditto-opt %s --split-input-file --ditto-expand-scatter | filecheck %s

// CHECK-LABEL: func.func @add(
// CHECK:         stablehlo.compare EQ, {{.*}} -> tensor<3x5xi1>
// CHECK:         stablehlo.transpose {{.*}} -> tensor<1x5x3xi1>
// CHECK:         %[[SUM:.*]] = stablehlo.dot_general {{.*}} : (tensor<5x3xi32>, tensor<3x1xi32>) -> tensor<5x1xi32>
// CHECK-NOT:     stablehlo.compare
// CHECK:         stablehlo.add
func.func @add(%x: tensor<5xi32>, %i: tensor<3x1xi32>, %u: tensor<3xi32>) -> tensor<5xi32> {
  %0 = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
  ^bb0(%a: tensor<i32>, %b: tensor<i32>):
    %s = stablehlo.add %a, %b : tensor<i32>
    stablehlo.return %s : tensor<i32>
  }) : (tensor<5xi32>, tensor<3x1xi32>, tensor<3xi32>) -> tensor<5xi32>
  return %0 : tensor<5xi32>
}

// -----

// Which updates a later one undoes is told by products of the one-hot rows, not by comparing indices.
// CHECK-LABEL: func.func @set(
// CHECK:         %[[HOT:.*]] = stablehlo.compare EQ, {{.*}} -> tensor<3x5xi1>
// CHECK:         %[[WRITTEN:.*]] = stablehlo.reduce({{.*}} applies stablehlo.or across dimensions = [1] : (tensor<1x3x5xi1>, tensor<i1>) -> tensor<1x5xi1>
// CHECK:         stablehlo.dot_general {{.*}} (tensor<3x5xi32>, tensor<5x3xi32>) -> tensor<3x3xi32>
// CHECK:         stablehlo.constant dense<{{\[\[}}0, 1, 1], [0, 0, 1], [0, 0, 0]]>
// CHECK:         stablehlo.compare EQ, {{.*}} -> tensor<1x3xi1>
// CHECK:         stablehlo.and {{.*}} : tensor<1x3x5xi1>
// CHECK:         stablehlo.dot_general {{.*}} : (tensor<5x3xi32>, tensor<3x1xi32>) -> tensor<5x1xi32>
// CHECK:         stablehlo.select
func.func @set(%x: tensor<5xi32>, %i: tensor<3x1xi32>, %u: tensor<3xi32>) -> tensor<5xi32> {
  %0 = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
  ^bb0(%a: tensor<i32>, %b: tensor<i32>):
    stablehlo.return %b : tensor<i32>
  }) : (tensor<5xi32>, tensor<3x1xi32>, tensor<3xi32>) -> tensor<5xi32>
  return %0 : tensor<5xi32>
}

// -----

// Of one number, it does not matter which update is the last.
// CHECK-LABEL: func.func @set_to_a_constant(
// CHECK:         stablehlo.compare EQ
// CHECK-NOT:     stablehlo.compare
// CHECK-NOT:     stablehlo.dot_general
// CHECK:         stablehlo.select
func.func @set_to_a_constant(%x: tensor<5xi32>, %i: tensor<3x1xi32>) -> tensor<5xi32> {
  %u = stablehlo.constant dense<7> : tensor<3xi32>
  %0 = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
  ^bb0(%a: tensor<i32>, %b: tensor<i32>):
    stablehlo.return %b : tensor<i32>
  }) : (tensor<5xi32>, tensor<3x1xi32>, tensor<3xi32>) -> tensor<5xi32>
  return %0 : tensor<5xi32>
}

// -----

// A place may be chosen by every update, so what was there takes part once more.
// CHECK-LABEL: func.func @maximum(
// CHECK:         %[[CHOSEN:.*]] = stablehlo.select {{.*}} : tensor<1x3x5x1xi1>, tensor<1x3x5x1xi32>
// CHECK:         %[[BEST:.*]] = stablehlo.reduce(%[[CHOSEN]] {{.*}} applies stablehlo.maximum across dimensions = [1]
// CHECK:         stablehlo.maximum %{{.*}}, %[[BEST]] : tensor<1x5x1xi32>
func.func @maximum(%x: tensor<5xi32>, %i: tensor<3x1xi32>, %u: tensor<3xi32>) -> tensor<5xi32> {
  %0 = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
  ^bb0(%a: tensor<i32>, %b: tensor<i32>):
    %s = stablehlo.maximum %a, %b : tensor<i32>
    stablehlo.return %s : tensor<i32>
  }) : (tensor<5xi32>, tensor<3x1xi32>, tensor<3xi32>) -> tensor<5xi32>
  return %0 : tensor<5xi32>
}

// -----

// Rows 0 and 3 stay, and of the two updates of row 1 the last one counts.
// CHECK-LABEL: func.func @set_known(
// CHECK-NOT:     stablehlo.compare
// CHECK-DAG:     %[[A:.*]] = stablehlo.slice %arg0 [0:1, 0:2]
// CHECK-DAG:     %[[B:.*]] = stablehlo.slice %{{.*}} [2:3, 0:2]
// CHECK-DAG:     %[[C:.*]] = stablehlo.slice %{{.*}} [1:2, 0:2]
// CHECK-DAG:     %[[D:.*]] = stablehlo.slice %arg0 [3:4, 0:2]
// CHECK:         %[[R:.*]] = stablehlo.concatenate %[[A]], %[[B]], %[[C]], %[[D]], dim = 0
// CHECK-NEXT:    return %[[R]]
func.func @set_known(%x: tensor<4x2xi32>, %u: tensor<4x2xi32>) -> tensor<4x2xi32> {
  %i = stablehlo.constant dense<[[1], [2], [1], [4]]> : tensor<4x1xi32>
  %0 = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
  ^bb0(%a: tensor<i32>, %b: tensor<i32>):
    stablehlo.return %b : tensor<i32>
  }) : (tensor<4x2xi32>, tensor<4x1xi32>, tensor<4x2xi32>) -> tensor<4x2xi32>
  return %0 : tensor<4x2xi32>
}

// -----

// Three updates meet in row 1: two rounds, and one addition to what was there.
// CHECK-LABEL: func.func @add_known(
// CHECK-NOT:     stablehlo.compare
// CHECK:         stablehlo.add {{.*}} : tensor<1x2xi32>
// CHECK:         stablehlo.add {{.*}} : tensor<1x2xi32>
// CHECK:         stablehlo.add {{.*}} : tensor<2x2xi32>
// CHECK-NOT:     stablehlo.add
func.func @add_known(%x: tensor<4x2xi32>, %u: tensor<4x2xi32>) -> tensor<4x2xi32> {
  %i = stablehlo.constant dense<[[1], [2], [1], [1]]> : tensor<4x1xi32>
  %0 = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
  ^bb0(%a: tensor<i32>, %b: tensor<i32>):
    %s = stablehlo.add %a, %b : tensor<i32>
    stablehlo.return %s : tensor<i32>
  }) : (tensor<4x2xi32>, tensor<4x1xi32>, tensor<4x2xi32>) -> tensor<4x2xi32>
  return %0 : tensor<4x2xi32>
}

// -----

// x.at[arange(3), i].add(u): each row has one update of its own.
// CHECK-LABEL: func.func @known_rows(
// CHECK:         stablehlo.compare EQ, {{.*}} -> tensor<3x7xi1>
// CHECK-NOT:     stablehlo.compare
// CHECK:         stablehlo.dot_general {{.*}} batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<3x7x1xi32>, tensor<3x1x1xi32>) -> tensor<3x7x1xi32>
func.func @known_rows(%x: tensor<3x7xi32>, %i: tensor<3x1xi32>, %u: tensor<3xi32>) -> tensor<3x7xi32> {
  %r = stablehlo.iota dim = 0 : tensor<3x1xi32>
  %rc = stablehlo.concatenate %r, %i, dim = 1 : (tensor<3x1xi32>, tensor<3x1xi32>) -> tensor<3x2xi32>
  %0 = "stablehlo.scatter"(%x, %rc, %u) <{scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0, 1], scatter_dims_to_operand_dims = [0, 1], index_vector_dim = 1>}> ({
  ^bb0(%a: tensor<i32>, %b: tensor<i32>):
    %s = stablehlo.add %a, %b : tensor<i32>
    stablehlo.return %s : tensor<i32>
  }) : (tensor<3x7xi32>, tensor<3x2xi32>, tensor<3xi32>) -> tensor<3x7xi32>
  return %0 : tensor<3x7xi32>
}

// -----

// Any update at a place that is known, one after the other.
// CHECK-LABEL: func.func @apply_known(
// CHECK-COUNT-2: stablehlo.subtract
// CHECK-NOT:     stablehlo.subtract
func.func @apply_known(%x: tensor<4x2xi32>, %u: tensor<2x2xi32>) -> tensor<4x2xi32> {
  %i = stablehlo.constant dense<1> : tensor<2x1xi32>
  %0 = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
  ^bb0(%a: tensor<i32>, %b: tensor<i32>):
    %s = stablehlo.subtract %a, %b : tensor<i32>
    stablehlo.return %s : tensor<i32>
  }) : (tensor<4x2xi32>, tensor<2x1xi32>, tensor<2x2xi32>) -> tensor<4x2xi32>
  return %0 : tensor<4x2xi32>
}

// -----

// CHECK-LABEL: func.func @outside(
// CHECK-NOT:     stablehlo.slice
// CHECK:         return %arg0
func.func @outside(%x: tensor<4x2xi32>, %u: tensor<2x2xi32>) -> tensor<4x2xi32> {
  %i = stablehlo.constant dense<[[4], [-1]]> : tensor<2x1xi32>
  %0 = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
  ^bb0(%a: tensor<i32>, %b: tensor<i32>):
    %s = stablehlo.add %a, %b : tensor<i32>
    stablehlo.return %s : tensor<i32>
  }) : (tensor<4x2xi32>, tensor<2x1xi32>, tensor<2x2xi32>) -> tensor<4x2xi32>
  return %0 : tensor<4x2xi32>
}
