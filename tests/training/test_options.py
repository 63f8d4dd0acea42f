"""TrainingOptions: every option of MATLAB is there or has its reason, and what is wrong is said."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

import gradloom as gl
from gradloom.training.options import FIELDS
from gradloom.vocabulary.training_options import HERE, LEFT_OUT

OURS = {"solver", "accumulate", "resume", "max_time", "dry_run", "average_weights"}
# the options that MATLAB's reference prints, R2026a, written down apart from the list of the library
MATLAB = """InitialLearnRate LearnRateSchedule LearnRateDropFactor LearnRateDropPeriod Momentum GradientDecayFactor
SquaredGradientDecayFactor Epsilon L2Regularization GradientThreshold GradientThresholdMethod MaxEpochs MiniBatchSize Shuffle
ValidationData ValidationFrequency ValidationPatience Metrics ObjectiveMetricName OutputNetwork OutputFcn Plots Verbose
VerboseFrequency CheckpointPath CheckpointFrequency CheckpointFrequencyUnit ExecutionEnvironment PreprocessingEnvironment
ResetInputNormalization InputDataFormats TargetDataFormats SequenceLength SequencePaddingValue SequencePaddingDirection
MaxIterations GradientTolerance StepTolerance LineSearchMethod HistorySize InitialInverseHessianFactor
MaxNumLineSearchIterations InitialStepSize InitialDampingFactor MaxDampingFactor DampingIncreaseFactor DampingDecreaseFactor
NormalizeTargets BatchNormalizationStatistics Acceleration CategoricalInputEncoding CategoricalTargetEncoding
DispatchInBackground WorkerLoad"""


def test_every_option_of_matlab_is_here_or_has_its_reason():
    assert sorted([*HERE, *LEFT_OUT]) == sorted(MATLAB.split())
    assert {ours for ours, _ in HERE.values()} | OURS == set(FIELDS)
    assert all(len(reason) > 20 for reason in LEFT_OUT.values())


def test_the_table_is_as_it_is_written():
    root = Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("make_options_table", root / "tools" / "make_options_table.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert (root / "docs" / "training_options.md").read_text(encoding="utf-8") == tool.page(), "make table"


@pytest.mark.parametrize(("solver", "expected"), [
    ("sgdm", {"initial_learn_rate": 0.01, "momentum": 0.9, "max_epochs": 30, "mini_batch_size": 128, "shuffle": "once",
              "l2_regularization": 1e-4, "gradient_threshold": math.inf, "gradient_threshold_method": "l2norm",
              "learn_rate_schedule": "none", "learn_rate_drop_factor": 0.1, "learn_rate_drop_period": 10,
              "validation_frequency": 50, "validation_patience": math.inf, "verbose": True, "verbose_frequency": 50,
              "objective_metric_name": "loss", "output_network": "auto", "checkpoint_frequency": 1,
              "checkpoint_frequency_unit": "epoch", "plots": "none", "execution_environment": "auto"}),
    ("adam", {"initial_learn_rate": 0.001, "gradient_decay_factor": 0.9, "squared_gradient_decay_factor": 0.999,
              "epsilon": 1e-8}),
    ("rmsprop", {"initial_learn_rate": 0.001, "squared_gradient_decay_factor": 0.9, "epsilon": 1e-8}),
    ("lbfgs", {"max_iterations": 1000, "history_size": 10, "initial_inverse_hessian_factor": 1, "gradient_tolerance": 1e-5,
               "step_tolerance": 1e-5, "line_search_method": "weak-wolfe", "max_num_line_search_iterations": 20}),
    ("lm", {"max_iterations": 1000, "initial_damping_factor": 1e-3, "max_damping_factor": 1e10, "damping_increase_factor": 10,
            "damping_decrease_factor": 0.1})])
def test_defaults_are_matlabs(solver, expected):
    options = gl.TrainingOptions(solver)
    assert {name: getattr(options, name) for name in expected} == expected


@pytest.mark.parametrize(("solver", "given", "message"), [
    ("sdgm", {}, "solver is one of .*'sdgm'; did you mean 'sgdm'"),
    ("sgdm", {"max_epoch": 3}, "no option 'max_epoch'; did you mean 'max_epochs'"),
    ("sgdm", {"MaxEpochs": 3}, "no option 'MaxEpochs'; did you mean 'max_epochs'"),
    ("sgdm", {"Acceleration": "none"}, "no option 'Acceleration'; did you mean 'acceleration'"),
    ("adam", {"momentum": 0.5}, "momentum is an option of sgdm, the solver is adam"),
    ("lm", {"max_epochs": 3}, "max_epochs is an option of sgdm, adam, adamw, rmsprop"),
    ("sgdm", {"max_epochs": 0}, "max_epochs is a whole number of at least 1, not 0"),
    ("sgdm", {"max_epochs": 2.5}, "max_epochs is a whole number"), ("sgdm", {"max_epochs": True}, "max_epochs is a whole"),
    ("sgdm", {"initial_learn_rate": -1}, "initial_learn_rate is a positive number, not -1"),
    ("sgdm", {"initial_learn_rate": gl.dlarray(0.1)}, "initial_learn_rate is a positive number, not dlarray"),
    ("sgdm", {"shuffle": "every epoch"}, "did you mean 'every-epoch'"),
    ("sgdm", {"momentum": 1}, "momentum is a number from 0 to below 1"),
    ("sgdm", {"verbose": 1}, "verbose is True or False, not 1"),
    ("sgdm", {"learn_rate_schedule": "cosin"}, "did you mean 'cosine'"),
    ("sgdm", {"learn_rate_schedule": ["warmup", "cosin"]}, "did you mean 'cosine'"),
    ("sgdm", {"learn_rate_schedule": [["warmup"], "cosine"]}, "a name, a function of"),
    ("sgdm", {"metrics": ["acuracy"]}, "did you mean 'accuracy'"),
    ("sgdm", {"execution_environment": "tpu"}, "execution_environment is \"auto\".*not 'tpu'; did you mean 'gpu'"),
    ("sgdm", {"execution_environment": "parallel-tpu"}, "did you mean 'parallel-cpu'"),
    ("sgdm", {"input_data_formats": ["BC", "BQ"]}, "of the letters S, C, B, T, U"),
    ("sgdm", {"max_epochs": float("inf")}, "max_epochs is a whole number"),
    ("sgdm", {"output_network": "best-validation"}, "needs data to validate with"),
    ("sgdm", {"resume": True}, "write checkpoint_path="), ("sgdm", {"output_function": 3}, "a function, or None")])
def test_what_is_wrong_is_said(solver, given, message):
    with pytest.raises(gl.TypeRefused, match=message):
        gl.TrainingOptions(solver, **given)


def test_numbers_of_numpy_are_numbers():
    options = gl.TrainingOptions("sgdm", max_epochs=np.int64(3), mini_batch_size=np.float64(10), accumulate=2.0, verbose=np.bool_(False),
                                 initial_learn_rate=np.float32(0.5), validation_patience=np.int32(4), sequence_length=np.int64(5))
    assert {name: (type(getattr(options, name)), getattr(options, name)) for name in (
        "max_epochs", "mini_batch_size", "accumulate", "verbose", "initial_learn_rate", "validation_patience", "sequence_length")} == {
        "max_epochs": (int, 3), "mini_batch_size": (int, 10), "accumulate": (int, 2), "verbose": (bool, False),
        "initial_learn_rate": (float, 0.5), "validation_patience": (int, 4), "sequence_length": (int, 5)}


def test_options_are_a_value():
    options = gl.TrainingOptions("adam", max_epochs=3)
    assert repr(options) == "TrainingOptions('adam', max_epochs=3)"
    with pytest.raises(AttributeError):
        options.max_epochs = 4


@pytest.mark.parametrize(("made", "said"), [
    (lambda: gl.TrainingOptions("sgdm", "MaxEpochs", 2, "Verbose", False), r"write TrainingOptions\(..., max_epochs=2, verbose=False\)"),
    (lambda: gl.TrainingOptions("sgdm", 2), "takes the solver by position, 2 values"), (lambda: gl.TrainingOptions(), "0 values"),
    (lambda: gl.TrainingOptions("sgdm", solver="adam"), "2 values")])
def test_options_are_given_by_keyword(made, said):
    with pytest.raises(gl.TypeRefused, match=rf"(?s)test_options\.py.*{said}|{said}.*test_options\.py"):
        made()
    assert gl.TrainingOptions(solver="adam").solver == "adam"
