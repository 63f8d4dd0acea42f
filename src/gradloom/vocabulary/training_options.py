"""MATLAB's training options, in one list: what each is called here, or why it is not here.

`docs/training_options.md` is generated from it, and the tests hold it against the fields of TrainingOptions both ways.
"""
from __future__ import annotations

# {MATLAB's name: (name here, how it differs: "" where it does not)}
HERE = {
    "InitialLearnRate": ("initial_learn_rate", ""),
    "LearnRateSchedule": ("learn_rate_schedule", "also a function of (learn_rate, iteration, epoch)"),
    "LearnRateDropFactor": ("learn_rate_drop_factor", "of \"piecewise\" in a list of schedules, too"),
    "LearnRateDropPeriod": ("learn_rate_drop_period", "of \"piecewise\" in a list of schedules, too"),
    "Momentum": ("momentum", ""),
    "GradientDecayFactor": ("gradient_decay_factor", ""),
    "SquaredGradientDecayFactor": ("squared_gradient_decay_factor", ""),
    "Epsilon": ("epsilon", ""),
    "L2Regularization": ("l2_regularization", "a part of the gradients; of adamw the decoupled decay"),
    "GradientThreshold": ("gradient_threshold", ""),
    "GradientThresholdMethod": ("gradient_threshold_method", ""),
    "MaxEpochs": ("max_epochs", ""),
    "MiniBatchSize": ("mini_batch_size", "a last mini-batch that is smaller is used, too"),
    "Shuffle": ("shuffle", ""),
    "ValidationData": ("validation_data", ""),
    "ValidationFrequency": ("validation_frequency", ""),
    "ValidationPatience": ("validation_patience", ""),
    "Metrics": ("metrics", ""),
    "ObjectiveMetricName": ("objective_metric_name", ""),
    "OutputNetwork": ("output_network", ""),
    "OutputFcn": ("output_function", "spelled out; it gets one dict and stops training where it returns True"),
    "Plots": ("plots", "also a TrainingProgressMonitor"),
    "Verbose": ("verbose", ""),
    "VerboseFrequency": ("verbose_frequency", ""),
    "CheckpointPath": ("checkpoint_path", ""),
    "CheckpointFrequency": ("checkpoint_frequency", ""),
    "CheckpointFrequencyUnit": ("checkpoint_frequency_unit", ""),
    "ExecutionEnvironment": ("execution_environment", "\"auto\", \"cpu\", \"gpu\", or a device of torch; \"parallel\", "
                             "\"parallel-cpu\" or \"parallel-gpu\" in each of several processes"),
    "PreprocessingEnvironment": ("preprocessing_environment",
                                 "\"background\": two threads that read ahead; \"parallel\": two processes"),
    "Acceleration": ("acceleration", "\"auto\": a step that can be recorded is replayed (`dlaccelerate`), after 300 "
                     "steps by compiled loops where `gradloom[native]` is installed, but for runs with checkpoints, "
                     "which come to the same bits wherever they went on; or \"none\""),
    "ResetInputNormalization": ("reset_input_normalization", ""),
    "InputDataFormats": ("input_data_formats", ""),
    "TargetDataFormats": ("target_data_formats", ""),
    "SequenceLength": ("sequence_length", "a number: all become as long, padded or cut; they are not split"),
    "SequencePaddingValue": ("sequence_padding_value", ""),
    "SequencePaddingDirection": ("sequence_padding_direction", ""),
    "MaxIterations": ("max_iterations", "of lbfgs and lm; a limit for the other solvers as well"),
    "GradientTolerance": ("gradient_tolerance", ""),
    "StepTolerance": ("step_tolerance", ""),
    "LineSearchMethod": ("line_search_method", ""),
    "HistorySize": ("history_size", ""),
    "InitialInverseHessianFactor": ("initial_inverse_hessian_factor", ""),
    "MaxNumLineSearchIterations": ("max_num_line_search_iterations", ""),
    "InitialStepSize": ("initial_step_size", ""),
    "InitialDampingFactor": ("initial_damping_factor", ""),
    "MaxDampingFactor": ("max_damping_factor", ""),
    "DampingIncreaseFactor": ("damping_increase_factor", ""),
    "DampingDecreaseFactor": ("damping_decrease_factor", ""),
    "BatchNormalizationStatistics": ("batch_normalization_statistics", "\"auto\" is \"moving\"; \"population\" takes "
                                     "one more pass over the data at the end"),
    "NormalizeTargets": ("normalize_targets", "the network returned ends with the inverse"),
}

# {MATLAB's name: why it is not here}
LEFT_OUT = {
    "CategoricalInputEncoding": "categories are class indices; a layer (`Embedding`) or `onehotencode` encodes them",
    "CategoricalTargetEncoding": "targets that are categories are class indices, which every loss and metric takes",
    "DispatchInBackground": "MATLAB's older word for `preprocessing_environment=\"background\"`",
    "WorkerLoad": "MATLAB's older word; a queue is divided with `partition`",
}

__all__ = ["HERE", "LEFT_OUT"]
