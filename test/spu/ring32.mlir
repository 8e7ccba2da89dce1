// RUN: ditto-opt %s --split-input-file --pass-pipeline="builtin.module(ditto-annotate{policy=uniform32},ditto-insert-casts,ditto-outline-regions,ditto-to-pphlo)" | filecheck %s

// The grid of 8 fraction bits: 0.1 * 2^8 = 25.6, and 26 / 2^8 is 0.1015625.
// CHECK-LABEL: func.func @coarser_grid(
// CHECK:       func.func private @r0({{.*}} attributes {ditto.frac = 8 : i32, ditto.ring = 32 : i32}
// CHECK:         dense<0.1015625> : tensor<f32>
func.func @coarser_grid(%x: tensor<f32>) -> tensor<f32> {
  %0 = stablehlo.constant dense<0.1> : tensor<f32>
  %1 = stablehlo.add %x, %0 : tensor<f32>
  return %1 : tensor<f32>
}

// -----

// The engine has no 64-bit literals in ring 32. Integers of every type are ring elements to it.
// CHECK-LABEL: func.func @wide_integers(
// CHECK:       func.func private @r0(%arg0: tensor<2x!pphlo.secret<i32>>, %arg1: tensor<2x!pphlo.secret<i32>>)
// CHECK-DAG:     dense<[1, -2]> : tensor<2xi32>
// CHECK-DAG:     dense<-1> : tensor<2xi32>
func.func @wide_integers(%x: tensor<2xi64> {ditto.range = array<f64: 0.0, 9.0>}, %y: tensor<2xui32>) -> (tensor<2xi64>, tensor<2xui32>) {
  %0 = stablehlo.constant dense<[1, -2]> : tensor<2xi64>
  %1 = stablehlo.constant dense<4294967295> : tensor<2xui32>
  %2 = stablehlo.add %x, %0 : tensor<2xi64>
  %3 = stablehlo.add %y, %1 : tensor<2xui32>
  return %2, %3 : tensor<2xi64>, tensor<2xui32>
}
