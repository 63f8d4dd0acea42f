"""The functions of MATLAB that take dlarrays, from its documentation."""

DEEP_LEARNING = """
attention avgpool batchnorm crossentropy indexcrossentropy crosschannelnorm ctc dlconv dltranspconv dlode45 embed fullyconnect groupnorm
instancenorm layernorm gru lstm huber l1loss l2loss mse maxpool maxunpool relu leakyrelu gelu sigmoid softmax onehotencode onehotdecode
dlarray dlfeval dlupdate dlaccelerate dlnetwork dims finddim stripdims extractdata isdlarray dlgradient dljacobian dldivergence dllaplacian
"""
OTHER_TOOLBOXES = """
doublelogit invlogit depthToSpace spaceToDepth dlresize ssim psnr multissim dlstft dlistft dlcwt dlmodwt roialign generalizedDice
"""
MATHEMATICS = """
abs cos cosh cot coth csc csch exp expm1 log log1p log2 log10 sec sech sign sin sinh sqrt tan tanh acos acosh acot acoth acsc acsch asec asech
asin asinh atan atanh erf erfc erfcinv erfcx erfinv gamma gammaln uplus uminus conj real imag angle realsqrt reallog sinpi cospi not
plus minus times rdivide ldivide power realpow atan2 hypot complex max min mod rem beta
sum mean median prod std var vecnorm norm normalize all any range
cumsum cumprod cummax cummin diff trapz cross dot kron interp1 mink maxk sort rescale ceil floor fix round eps fft ifft
mtimes mrdivide mldivide pagemtimes inv det pinv pageinv trace eig svd
reshape permute ipermute squeeze shiftdim repmat repelem flip circshift cat horzcat vertcat paddata trimdata resize colon diag tril triu
transpose ctranspose subsref subsasgn subsindex eq ne lt le gt ge and or xor isequal isequaln
zeros ones eye rand randi randn Inf NaN true false cast single double logical gather gpuArray isreal isfloat isnumeric islogical isempty
numel ndims size length iscolumn isrow ismatrix isscalar isvector isfinite isinf isnan underlyingType disp display
"""
NAMES = list(dict.fromkeys(f"{DEEP_LEARNING} {OTHER_TOOLBOXES} {MATHEMATICS}".split()))
