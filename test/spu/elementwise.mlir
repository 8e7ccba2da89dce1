// RUN: ditto-opt %s --split-input-file --pass-pipeline="builtin.module(ditto-annotate{policy=uniform64},ditto-insert-casts,ditto-outline-regions,ditto-to-pphlo)" | filecheck %s

// CHECK-LABEL: func.func @unary(
// CHECK:       func.func private @r0(%arg0: tensor<4x!pphlo.secret<f32>>)
// CHECK-NEXT:    %[[A:.*]] = "pphlo.exponential"(%arg0) : (tensor<4x!pphlo.secret<f32>>) -> tensor<4x!pphlo.secret<f32>>
// CHECK-NEXT:    %[[B:.*]] = "pphlo.rsqrt"(%[[A]])
// CHECK-NEXT:    %[[C:.*]] = "pphlo.tanh"(%[[B]])
// CHECK-NEXT:    return %[[C]]
func.func @unary(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.exponential %x : tensor<4xf32>
  %1 = stablehlo.rsqrt %0 : tensor<4xf32>
  %2 = stablehlo.tanh %1 : tensor<4xf32>
  return %2 : tensor<4xf32>
}

// -----

// CHECK-LABEL: func.func @binary(
// CHECK:         %[[A:.*]] = "pphlo.subtract"(%arg0, %arg1)
// CHECK-NEXT:    %[[B:.*]] = "pphlo.divide"(%[[A]], %arg1)
// CHECK-NEXT:    return %[[B]]
func.func @binary(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.subtract %x, %y : tensor<4xf32>
  %1 = stablehlo.divide %0, %y : tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// x / 4 is x * 0.25, with the layout that the constant had.
// CHECK-LABEL: func.func @division_by_constant(
// CHECK:         %[[C:.*]] = "pphlo.constant"() {value = dense<2.500000e-01> : tensor<f32>}
// CHECK-NEXT:    %[[B:.*]] = "pphlo.broadcast"(%[[C]]) {broadcast_dimensions = array<i64>} : (tensor<f32>) -> tensor<4xf32>
// CHECK-NEXT:    "pphlo.multiply"(%arg0, %[[B]])
// CHECK-NOT:     pphlo.divide
func.func @division_by_constant(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c = stablehlo.constant dense<4.0> : tensor<f32>
  %0 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<f32>) -> tensor<4xf32>
  %1 = stablehlo.divide %x, %0 : tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// 1 / (1 + exp(-x))
// CHECK-LABEL: func.func @logistic(
// CHECK:         %[[ONE:.*]] = "pphlo.constant"() {value = dense<1.000000e+00> : tensor<4xf32>}
// CHECK:         %[[N:.*]] = "pphlo.negate"(%arg0)
// CHECK:         %[[E:.*]] = "pphlo.exponential"(%[[N]])
// CHECK:         %[[A:.*]] = "pphlo.add"(%[[E]], %[[ONE]])
// CHECK:         "pphlo.reciprocal"(%[[A]])
func.func @logistic(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.logistic %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// CHECK-LABEL: func.func @erf(
// CHECK:         "pphlo.custom_call"(%arg0) {call_target_name = "mhlo.erf"}
func.func @erf(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = chlo.erf %x : tensor<4xf32> -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// erfc(x) = 1 - erf(x)
// CHECK-LABEL: func.func @erfc(
// CHECK-DAG:     %[[E:.*]] = "pphlo.custom_call"(%arg0) {call_target_name = "mhlo.erf"}
// CHECK-DAG:     %[[ONE:.*]] = "pphlo.constant"() {value = dense<1.000000e+00>
// CHECK:         "pphlo.subtract"(%[[ONE]], %[[E]])
func.func @erfc(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = chlo.erfc %x : tensor<4xf32> -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// The engine wants bounds of the operand's shape.
// CHECK-LABEL: func.func @clamp(
// CHECK-DAG:     %[[LO:.*]] = "pphlo.broadcast"(%arg0) {{.*}} -> tensor<4x!pphlo.secret<f32>>
// CHECK-DAG:     %[[HI:.*]] = "pphlo.broadcast"(%{{.*}} : (tensor<f32>) -> tensor<4xf32>
// CHECK:         "pphlo.clamp"(%[[LO]], %arg1, %[[HI]])
func.func @clamp(%x: tensor<4xf32>, %lo: tensor<f32>) -> tensor<4xf32> {
  %hi = stablehlo.constant dense<4.0> : tensor<f32>
  %0 = stablehlo.clamp %lo, %x, %hi : (tensor<f32>, tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Fixed point has no infinities.
// CHECK-LABEL: func.func @is_finite(
// CHECK:         %[[T:.*]] = "pphlo.constant"() {value = dense<true> : tensor<4xi1>}
// CHECK:         return %[[T]]
func.func @is_finite(%x: tensor<4xf32>) -> tensor<4xi1> {
  %0 = stablehlo.is_finite %x : (tensor<4xf32>) -> tensor<4xi1>
  return %0 : tensor<4xi1>
}

// -----

// One runtime has one fixed-point format, so half precision is f32 there and the conversion is nothing.
// CHECK-LABEL: func.func @half_precision(
// CHECK:         "pphlo.negate"(%arg0) : (tensor<4x!pphlo.secret<f32>>) -> tensor<4x!pphlo.secret<f32>>
// CHECK-NOT:     pphlo.convert
// CHECK:         return
func.func @half_precision(%x: tensor<4xf16>) -> tensor<4xf32> {
  %0 = stablehlo.negate %x : tensor<4xf16>
  %1 = stablehlo.convert %0 : (tensor<4xf16>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// CHECK-LABEL: func.func @float_to_integer(
// CHECK:         "pphlo.convert"(%arg0) : (tensor<4x!pphlo.secret<f32>>) -> tensor<4x!pphlo.secret<i64>>
func.func @float_to_integer(%x: tensor<4xf32>) -> tensor<4xi32> {
  %0 = stablehlo.convert %x : (tensor<4xf32>) -> tensor<4xi32>
  return %0 : tensor<4xi32>
}

// -----

// CHECK-LABEL: func.func @compare_and_select(
// CHECK:         "pphlo.greater_equal"(%arg0, %arg1) : {{.*}} -> tensor<4x!pphlo.secret<i1>>
// CHECK:         "pphlo.select"(%{{.*}}, %arg0, %arg1)
func.func @compare_and_select(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.compare GE, %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi1>
  %1 = stablehlo.select %0, %x, %y : tensor<4xi1>, tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// The engine wants a predicate for each element.
// CHECK-LABEL: func.func @scalar_predicate(
// CHECK:         %[[P:.*]] = "pphlo.broadcast"(%{{.*}} : (tensor<!pphlo.secret<i1>>) -> tensor<4x!pphlo.secret<i1>>
// CHECK:         "pphlo.select"(%[[P]],
func.func @scalar_predicate(%p: tensor<i1>, %x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.select %p, %x, %y : tensor<i1>, tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// The engine would take a number's lowest bit.
// CHECK-LABEL: func.func @to_boolean(
// CHECK:         %[[Z:.*]] = "pphlo.constant"() {value = dense<0.000000e+00> : tensor<4xf32>}
// CHECK-NEXT:    "pphlo.not_equal"(%arg0, %[[Z]])
func.func @to_boolean(%x: tensor<4xf32>) -> tensor<4xi1> {
  %0 = stablehlo.convert %x : (tensor<4xf32>) -> tensor<4xi1>
  return %0 : tensor<4xi1>
}

// -----

// The engine shifts whole words arithmetically, not the three bits that `and` leaves.
// CHECK-LABEL: func.func @shift_after_and(
// CHECK:         %[[A:.*]] = "pphlo.and"
// CHECK-NEXT:    %[[B:.*]] = "pphlo.custom_call"(%[[A]]) {call_target_name = "spu.prefer_a"}
// CHECK-NEXT:    "pphlo.shift_right_arithmetic"(%[[B]]
func.func @shift_after_and(%x: tensor<4xi32>) -> tensor<4xi32> {
  %c = stablehlo.constant dense<7> : tensor<4xi32>
  %d = stablehlo.constant dense<1> : tensor<4xi32>
  %0 = stablehlo.and %x, %c : tensor<4xi32>
  %1 = stablehlo.shift_right_arithmetic %0, %d : tensor<4xi32>
  return %1 : tensor<4xi32>
}

// -----

// The engine multiplies single bits as bits; what leaves the region is an arithmetic share.
// CHECK-LABEL: func.func @product_of_bits(
// CHECK:         %[[P:.*]] = "pphlo.multiply"
// CHECK-NEXT:    %[[A:.*]] = "pphlo.custom_call"(%[[P]]) {call_target_name = "spu.prefer_a"}
// CHECK-NEXT:    return %[[A]]
func.func @product_of_bits(%x: tensor<4xi32>, %y: tensor<4xi32>) -> tensor<4xi32> {
  %c = stablehlo.constant dense<1> : tensor<4xi32>
  %0 = stablehlo.and %x, %c : tensor<4xi32>
  %1 = stablehlo.and %y, %c : tensor<4xi32>
  %2 = stablehlo.multiply %0, %1 : tensor<4xi32>
  return %2 : tensor<4xi32>
}
