// RUN: ditto-opt %s --split-input-file --verify-diagnostics --inline-calls

func.func @no_body(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{[inline-calls] 'func.call' op: @elsewhere has no body, so there is nothing to run privately}}
  %0 = call @elsewhere(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @elsewhere(tensor<4xf32>) -> tensor<4xf32>

// -----

func.func @direct_recursion(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{recursive call of @direct_recursion; a private program cannot recurse}}
  %0 = call @direct_recursion(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @ping(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @ping(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @pong(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @pong(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{recursive call of @ping; a private program cannot recurse}}
  %0 = call @ping(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Both are reported.
func.func @all_at_once(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{@one has no body}}
  %0 = call @one(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error @+1 {{@two has no body}}
  %1 = call @two(%0) : (tensor<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}
func.func private @one(tensor<4xf32>) -> tensor<4xf32>
func.func private @two(tensor<4xf32>) -> tensor<4xf32>

// -----

// expected-error @+1 {{'builtin.module' op: the module is outlined: its calls are of regions and must stay}}
module attributes {ditto.stage = "outlined"} {
  func.func @outlined(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
