"""Words of MATLAB, PyTorch, Keras, JAX and NumPy that are no names here, and the line to write instead: one table for
each place where people write them.

A line is code that runs, with x an array, y = net(x), net a network, loss a scalar, and so on; the tests run each of
them. After a bar stands the reason, where the line alone does not say it. MATLAB's functions that are only spelled
differently are in `matlab.py`.
"""
from __future__ import annotations

Table = dict[str, dict[str, str]]  # whose word: {word: line | reason}

# gl.word
MODULE: Table = {
    "MATLAB": {
        "forward": "y, state = net.forward(x, return_state=True)", "predict": "y = net.predict(x)",
        "classify": 'digits = gl.argmax(net(x), axis="C")',
        "transform": "gl.ArrayDatastore(data).transform(lambda x: 2 * x)",
        "readall": "gl.ArrayDatastore(data).read_all()", "subset": "gl.ArrayDatastore(data).subset([0, 1])",
        "hasdata": "gl.ArrayDatastore(data).hasdata()", "preview": "gl.ArrayDatastore(data).preview()",
        "initialize": "net = net.initialize()"
            " | a network is initialised when it is made, unless initialize=False or an edit left something unset",
        "analyzeNetwork": "gl.summary(net)", "canUseGPU": "torch.cuda.is_available()",
        "importNetworkFromPyTorch": "net = gl.interop.torch.from_torch(module)",
        "initializeGlorot": 'gl.layers.FullyConnected(10, weights_initializer="glorot")',
        "initializeHe": 'gl.layers.FullyConnected(10, weights_initializer="he")',
        "activations": 'h = net.predict(x, outputs="relu")',
        "predictAndUpdateState": "y, state = net.predict(x, return_state=True) | then net = net.replace(state=state)",
        "classifyAndUpdateState": "y, state = net.predict(x, return_state=True) | then net = net.replace(state=state)",
        "shuffle": "gl.minibatchqueue(data, 2).shuffle()", "next": "gl.minibatchqueue(data, 2).next()",
        "reset": "gl.minibatchqueue(data, 2).reset()", "partition": "gl.minibatchqueue(data, 2).partition(2, 0)",
        "read": "gl.ArrayDatastore(data).read()",
        "thresholdL2Norm": 'gradients = gl.clip_gradients(gradients, 1.0, "l2norm")',
        "thresholdGlobalL2Norm": 'gradients = gl.clip_gradients(gradients, 1.0, "global-l2norm")',
        "thresholdAbsoluteValue": 'gradients = gl.clip_gradients(gradients, 1.0, "absolute-value")',
        "imagePretrainedNetwork": "net = gl.interop.torch.from_torch(module) | a module of torchvision, say",
        "resnet50": "net = gl.interop.torch.from_torch(module) | a module of torchvision, say",
        "fminunc": "value, g = gl.value_and_gradient(fun)(x) | for scipy.optimize.minimize(..., jac=True)",
        "fmincon": "value, g = gl.value_and_gradient(fun)(x) | for scipy.optimize.minimize(..., jac=True)",
        "lsqnonlin": "J = gl.jacobian(fun)(x) | for scipy.optimize.least_squares(..., jac=)",
        "parpool": 'options = gl.TrainingOptions("sgdm", execution_environment="parallel")'
            " | gl.distributed for a loop of your own",
        "accuracyMetric": 'options = gl.TrainingOptions("sgdm", metrics="accuracy")',
        "precisionMetric": 'options = gl.TrainingOptions("sgdm", metrics="precision")',
        "recallMetric": 'options = gl.TrainingOptions("sgdm", metrics="recall")',
        "fScoreMetric": 'options = gl.TrainingOptions("sgdm", metrics="fscore")',
        "aucMetric": 'options = gl.TrainingOptions("sgdm", metrics="auc")',
        "rmseMetric": 'options = gl.TrainingOptions("sgdm", metrics="rmse")',
        "mapeMetric": 'options = gl.TrainingOptions("sgdm", metrics="mape")',
        "rSquaredMetric": 'options = gl.TrainingOptions("sgdm", metrics="rsquared")',
        "isgpuarray": 'x.device.type == "cuda"', "func2str": "fun.__name__", "feval": "fun(x)",
    },
    "PyTorch": {
        "tensor": "x = gl.dlarray(data)", "Tensor": "x = gl.dlarray(data)", "as_tensor": "x = gl.dlarray(data)",
        "from_numpy": "x = gl.dlarray(data)", "FloatTensor": 'x = gl.dlarray(data, dtype="float32")',
        "Parameter": "weights = gl.dlarray(data)", "no_grad": "y = net(x) | nothing is recorded outside dlfeval",
        "inference_mode": "y = net(x) | nothing is recorded outside dlfeval",
        "enable_grad": "gl.dlfeval(fun, x) | what is passed to dlfeval is recorded",
        "set_grad_enabled": "gl.dlfeval(fun, x) | what is passed to dlfeval is recorded",
        "autograd": "g = gl.dlgradient(loss, x) | in a function that dlfeval runs",
        "backward": "g = gl.dlgradient(loss, x) | in a function that dlfeval runs",
        "func": "value, g = gl.value_and_gradient(fun)(x)",
        "grad_and_value": "value, g = gl.value_and_gradient(fun)(x)", "manual_seed": "gl.rng(0)", "seed": "gl.rng(0)",
        "nn": "layers = gl.layers", "Module": "gl.Layer", "Sequential": "net = gl.dlnetwork(layers)",
        "optim": "net, velocity = gl.sgdmupdate(net, gradients, velocity)",
        "DistributedDataParallel": 'options = gl.TrainingOptions("sgdm", execution_environment="parallel")'
            " | gl.distributed for a loop of your own",
        "SGD": "net, velocity = gl.sgdmupdate(net, gradients, velocity)",
        "Adam": "net, avg, avg_sq = gl.adamupdate(net, gradients, None, None, 1) | then with avg, avg_sq and 2, 3, ...",
        "AdamW": "net, avg, avg_sq = gl.adamupdate(net, gradients, None, None, 1, weight_decay=0.01)",
        "RMSprop": "net, avg_sq = gl.rmspropupdate(net, gradients)",
        "LBFGS": "p, state = gl.lbfgsupdate(x, lambda x: (gl.sum(x * x), 2 * x))"
            " | the function gives loss and gradients",
        "clip_grad_norm_": 'gradients = gl.clip_gradients(gradients, 1.0, "global-l2norm")',
        "from_torch": "net = gl.interop.torch.from_torch(module)",
        "load_torch": "net = net.replace(learnables=learnables, state=state)"
            " | a state_dict in safetensors: net = gl.load_weights(net, path)",
        "load_state_dict": "net = net.replace(learnables=learnables, state=state)"
            " | a state_dict in safetensors: net = gl.load_weights(net, path)",
        "compile": "y = net(x) | there is nothing to compile", "unsqueeze": "gl.expand_dims(x, axis=0)",
        "swapaxes": "gl.moveaxis(x, 0, 1)", "mm": "x @ x.T", "bmm": "x @ x.mT", "addmm": "y + x @ x.T",
        "split": "gl.unstack(x, axis=0)", "chunk": "gl.unstack(x, axis=0)",
        "cross_entropy": "gl.crossentropy(y, t, from_logits=True)",
        "mse_loss": "gl.mean((y - z) ** 2) | gl.mse(y, z) is half the squared error, divided by the observations only",
        "conv2d": "gl.dlconv(images, kernels)", "max_pool2d": "gl.maxpool(images, 2, stride=2)",
        "avg_pool2d": "gl.avgpool(images, 2, stride=2)", "leaky_relu": "gl.leakyrelu(x, 0.01)",
        "linear": "gl.fullyconnect(x, weights, bias)", "layer_norm": "gl.layernorm(x, offset, factor)",
        "DataLoader": "gl.minibatchqueue(data, 2)", "Dataset": "gl.ArrayDatastore(data)",
        "one_hot": "gl.onehotencode(digits, 0, num_classes=10)", "cuda": 'x.to(device="cuda")', "device": "x.device",
        "allclose": "np.allclose(x, z)", "isclose": "np.isclose(x, z)", "float32": 'x.astype("float32")',
        "float64": 'x.astype("float64")', "float16": 'x.astype("float16")', "bfloat16": 'x.astype("bfloat16")',
        "int32": 'x.astype("int32")', "int64": 'x.astype("int64")',
    },
    "Keras": {
        "Model": "net = gl.dlnetwork(layers)",
        "GradientTape": "value = gl.dlfeval(fun, x) | with dlgradient inside fun", "Variable": "x = gl.dlarray(data)",
        "constant": "x = gl.dlarray(data)", "keras": "net = gl.dlnetwork(layers)", "reduce_sum": "gl.sum(x)",
        "reduce_mean": "gl.mean(x)", "convert_to_tensor": "x = gl.dlarray(data)",
    },
    "JAX": {
        "grad": "value, g = gl.value_and_gradient(fun)(x)",
        "value_and_grad": "value, g = gl.value_and_gradient(fun)(x)", "jacrev": "J = gl.jacobian(fun)(x)",
        "jacfwd": "J = gl.jacobian(fun)(x)",
        "vmap": "y = net(x)"
            " | a batch is an axis, labelled B; the Jacobian of the losses has the gradients of each observation",
        "stop_gradient": "gl.detach(x)", "numpy": "gl.sin(x)", "lax": "gl.sin(x)", "random": "gl.rand((2, 3))",
        "PRNGKey": "gl.rng(0)", "key": "gl.rng(0)", "device_put": 'x.to(device="cpu")', "linearize": "gl.jvp(y, x, x)",
    },
    "NumPy": {
        "array": "x = gl.dlarray(data)", "concatenate": "gl.concat([x, z], axis=0)",
        "vstack": "gl.concat([x, z], axis=0)", "hstack": "gl.concat([x, z], axis=1)", "arcsin": "gl.asin(x)",
        "arccos": "gl.acos(x)", "arctan": "gl.atan(x)", "arctan2": "gl.atan2(x, z)", "arcsinh": "gl.asinh(x)",
        "arccosh": "gl.acosh(x)", "arctanh": "gl.atanh(x)", "newaxis": "x[None]", "pi": "math.pi", "inf": "math.inf",
        "nan": "math.nan", "percentile": "gl.quantile(x, 0.3, axis=0)", "ndarray": "gl.dlarray",
        "clip_by_value": "gl.clip(x, 0.0, 1.0)", "fill_diagonal": "x - gl.diag(gl.diag(x))",
    },
}

# x.word
ARRAY: Table = {
    "MATLAB": {
        "extractdata": "gl.extractdata(x)", "gather": 'x.to(device="cpu")', "permute": "gl.permute_dims(x, (1, 0))",
        "double": 'x.astype("float64")', "single": 'x.astype("float32")', "isdlarray": "gl.isdlarray(x)",
        "underlyingType": "x.dtype", "numel": "x.size", "length": "max(x.shape)", "end": "x[-1]",
    },
    "PyTorch": {
        "backward": "g = gl.dlgradient(loss, x) | in a function that dlfeval runs",
        "grad": "g = gl.dlgradient(loss, x) | in a function that dlfeval runs",
        "requires_grad": "gl.dlfeval(fun, x) | what is passed to dlfeval is recorded",
        "requires_grad_": "gl.dlfeval(fun, x) | what is passed to dlfeval is recorded",
        "retain_grad": "g = gl.dlgradient(loss, x) | intermediate results are targets like any other",
        "zero_grad": "g = gl.dlgradient(loss, x) | a gradient is a result, nothing is added up",
        "cuda": 'x.to(device="cuda")', "cpu": 'x.to(device="cpu")', "float": 'x.astype("float32")',
        "half": 'x.astype("float16")', "bfloat16": 'x.astype("bfloat16")', "int": 'x.astype("int32")',
        "long": 'x.astype("int64")', "bool": 'x.astype("bool")', "type": 'x.astype("float32")',
        "view": "gl.reshape(x, (-1,))", "unsqueeze": "gl.expand_dims(x, axis=0)",
        "expand": "gl.broadcast_to(x, (3, 3))", "clone": "x.copy()",
        "contiguous": "x | an array has no memory layout to care for", "dim": "x.ndim", "element_size": "x.itemsize",
        "t": "x.T", "mm": "x @ x.T", "bmm": "x @ x.mT", "add_": "x = x + z", "sub_": "x = x - z", "mul_": "x = x * z",
        "div_": "x = x / z", "zero_": "x[...] = 0.0", "fill_": "x[...] = 0.0", "copy_": "x[...] = z",
        "clamp": "gl.clip(x, 0.0, 1.0)", "chunk": "gl.unstack(x, axis=0)", "split": "gl.unstack(x, axis=0)",
        "unbind": "gl.unstack(x, axis=0)", "masked_fill": "gl.where(x > 0, 0.0, x)",
        "register_hook": "g = gl.dlgradient(loss, x) | the gradient of any result that you keep",
        "is_cuda": 'x.device.type == "cuda"', "data": "gl.detach(x)",
    },
    "Keras": {"assign": "x[...] = z", "assign_add": "x = x + z", "assign_sub": "x = x - z"},
    "JAX": {"block_until_ready": "x | nothing runs later"},
    "NumPy": {
        "dot": "x @ x.T", "fill": "x[...] = 0.0", "swapaxes": "gl.moveaxis(x, 0, 1)", "flat": "gl.reshape(x, (-1,))",
        "ravel": "gl.reshape(x, (-1,))",
    },
}

# net.word
NETWORK: Table = {
    "MATLAB": {
        "addLayers": "net = net.add_layers([gl.layers.ReLU()])",
        "removeLayers": 'net = net.remove_layers("softmax")',
        "connectLayers": 'net = net.disconnect_layers("relu", "softmax").connect_layers("fc", "softmax")',
        "disconnectLayers": 'net = net.disconnect_layers("relu", "softmax")',
        "replaceLayer": 'net = net.replace_layer("fc", gl.layers.FullyConnected(10))',
        "addInputLayer": 'net = net.remove_layers("input").add_input_layer(gl.layers.FeatureInput(3))',
        "Connections": "net.connections", "InputNames": "net.input_names", "OutputNames": "net.output_names",
        "Initialized": "net.initialized", "getLayer": 'net["fc"]',
        "Learnables": "net.learnables", "State": "net.state", "plot": "gl.plot(net)", "Layers": "net.layers",
        "resetState": "net = net.reset_state()", "freezeNetwork": 'net = net.freeze("fc*")',
        "unfreezeNetwork": "net = net.unfreeze()",
        "setLearnRateFactor": 'net = net.set_learn_rate_factor("fc", "weights", 2)',
        "setL2Factor": 'net = net.set_l2_factor("fc", "weights", 2)',
        "getLearnRateFactor": 'net.settings["fc", "weights"].learn_rate_factor',
        "getL2Factor": 'net.settings["fc", "weights"].l2_factor',
    },
    "PyTorch": {
        "parameters": "net.learnables.values()", "named_parameters": "net.learnables.items()",
        "buffers": "net.state.values()", "named_buffers": "net.state.items()",
        "state_dict": "parameters = {**net.learnables, **net.state}",
        "load_state_dict": "net = net.replace(learnables=learnables, state=state)"
            " | from a file: net = gl.load_weights(net, path)",
        "modules": "net.layers",
        "children": "net.layers", "named_modules": "net.layers", "train": "y = net.forward(x)",
        "eval": "y = net.predict(x)",
        "zero_grad": "gradients = gl.dlgradient(loss, net.learnables) | a gradient is a result, nothing is added up",
        "backward": "gradients = gl.dlgradient(loss, net.learnables) | in a function that dlfeval runs",
        "requires_grad_": "gradients = gl.dlgradient(loss, net.learnables) | in a function that dlfeval runs",
        "register_forward_hook": 'h = net.predict(x, outputs="relu")', "cuda": 'net = net.to(device="cuda")',
        "cpu": 'net = net.to(device="cpu")', "double": 'net = net.to(dtype="float64")',
        "float": 'net = net.to(dtype="float32")', "half": 'net = net.to(dtype="float16")',
    },
    "Keras": {
        "summary": "gl.summary(net)", "weights": "net.learnables", "trainable_weights": "net.learnables",
        "variables": "net.learnables", "trainable_variables": "net.learnables",
        "get_weights": "[np.asarray(p) for p in net.learnables.values()]",
        "set_weights": "net = net.replace(learnables=learnables)", "evaluate": "loss = gl.crossentropy(net(x), t)",
        "call": "y = net(x)", "get_layer": 'net["fc"]', "add": "net = net.add_layers([gl.layers.ReLU()])",
        "compile": "loss = gl.crossentropy(net(x), t) | the loss is what your function computes",
        "train_on_batch": "net, velocity = gl.sgdmupdate(net, gradients, velocity)",
    },
    "JAX": {"init": "net = gl.dlnetwork(layers)", "params": "net.learnables"},
}

# net.learnables.word
LEARNABLES: Table = {
    "MATLAB": {
        "Value": "list(net.learnables.values())", "Layer": "[layer for layer, parameter in net.learnables]",
        "Parameter": "[parameter for layer, parameter in net.learnables]",
    },
    "PyTorch": {"grad": "gradients = gl.dlgradient(loss, net.learnables) | in a function that dlfeval runs"},
    "JAX": {"update": "net = net.replace(learnables=learnables)"},
}

# J.word
JACOBIAN: Table = {
    "MATLAB": {"extractdata": "np.asarray(J.matrix())"},
    "PyTorch": {
        "numpy": "np.asarray(J.matrix())", "detach": "J.matrix()", "reshape": "J.dense()", "item": "J.dense()",
        "sum": "gl.sum(J.dense(), axis=0)",
    },
    "NumPy": {
        "toarray": "J.dense()", "todense": "J.dense()", "transpose": "J.T", "tolist": "J.matrix()", "dot": "J @ x",
        "matvec": "J @ x", "rmatvec": "J.T @ z", "size": "J.shape",
    },
}

# fast.word, of an accelerated function
ACCELERATED: Table = {
    "MATLAB": {
        "clearCache": "fast.clear_cache()", "HitRate": "fast.hit_rate", "Occupancy": "fast.occupancy",
        "CheckMode": 'fast.check_mode = "tolerance"', "CheckTolerance": "fast.check_tolerance = 1e-4",
        "Enabled": "fast.enabled = False", "CacheSize": "fast.cache_size = 50",
    },
}

# monitor.word
MONITOR: Table = {
    "MATLAB": {
        "Metrics": 'monitor.metrics = ["loss"]', "XLabel": 'monitor.x_label = "iteration"', "Stop": "monitor.stop",
        "Info": 'monitor = gl.TrainingProgressMonitor(info=["epoch"])', "Progress": "monitor.progress = 50",
        "Status": 'monitor.status = "running"', "recordMetrics": "gl.record_metrics(monitor, 1, loss=0.5)",
        "updateInfo": "gl.update_info(monitor, epoch=1)",
        "groupSubPlot": 'gl.group_subplot(monitor, "Loss", ["loss"])',
    },
}

# layout.word
LAYOUT: Table = {
    "MATLAB": {"Size": "layout.shape", "Format": "layout.labels"},
    "PyTorch": {"size": 'layout.sizes["C"]'},
}

# gl.layers.word
LAYERS: Table = {
    "PyTorch": {
        "Linear": "gl.layers.FullyConnected(10)", "Conv2d": "gl.layers.Convolution2d(3, 16)",
        "BatchNorm2d": "gl.layers.BatchNormalization()", "BatchNorm1d": "gl.layers.BatchNormalization()",
        "MaxPool2d": "gl.layers.MaxPooling2d(2, stride=2)", "AvgPool2d": "gl.layers.AveragePooling2d(2, stride=2)",
        "AdaptiveAvgPool2d": "gl.layers.GlobalAveragePooling2d()", "Module": "gl.Layer",
        "Sequential": "net = gl.dlnetwork(layers)", "Lambda": "gl.layers.Function(fun)",
    },
    "Keras": {
        "Dense": "gl.layers.FullyConnected(10)", "Conv2D": "gl.layers.Convolution2d(3, 16)",
        "MaxPooling2D": "gl.layers.MaxPooling2d(2, stride=2)", "MaxPool2D": "gl.layers.MaxPooling2d(2, stride=2)",
        "AveragePooling2D": "gl.layers.AveragePooling2d(2, stride=2)",
        "GlobalAveragePooling2D": "gl.layers.GlobalAveragePooling2d()",
        "Activation": "gl.layers.ReLU() | each activation is a layer", "InputLayer": "gl.layers.FeatureInput(3)",
        "Rescaling": "gl.layers.Function(lambda x: x / 255)",
    },
}

# Words of this library that are to come, and what does their work until then ("": nothing does).
PLANNED: dict[str, str] = {}
PLANNED_OF_NETWORKS: dict[str, str] = {}
# Whose word for what is to come: {word: word here}.
PLANNED_AS: Table = {}
# Tables of classes whose methods MATLAB writes as functions: clearCache(fast), addLayers(net, layers).
METHODS: list[Table] = [{"MATLAB": table["MATLAB"]} for table in (NETWORK, ACCELERATED, MONITOR)]
