package nibble.pack.layout;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.quantization.LinearTensor;
import nibble.checkpoint.model.quantization.LinearTensor.Role;
import nibble.checkpoint.model.quantization.QuantizationConfig;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.checkpoint.tensor.TensorView;
import nibble.pack.PackedLinear;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;

/**
 * Describes a way in which checkpoints lay out quantized linears: which tensors they have, where the codes, zeros and
 * scales of a {@link QuantizedLinear} lie in them, and what config.json says of it.
 */
public sealed interface Layout permits AwqLayout, GptqLayout, CompressedTensorsLayout {
    /** Returns the one that a format names. */
    static Layout of(QuantizedFormat format) {
        return switch (format) {
            case AWQ_GEMM -> AwqLayout.INSTANCE;
            case GPTQ -> GptqLayout.FIRST;
            case GPTQ_V2 -> GptqLayout.SECOND;
            case COMPRESSED_TENSORS -> CompressedTensorsLayout.INSTANCE;
        };
    }

    QuantizedFormat format();

    /**
     * Returns the linear that the tensors of a module hold.
     *
     * @throws BadCheckpointException if a tensor is absent, contradicts the others, or has scales that fp16 cannot hold
     */
    PackedLinear linear(Tensors tensors);

    /**
     * Finds the linear in the mapped files, without unpacking it; nothing where its columns are not in plain groups.
     *
     * @throws BadCheckpointException as {@link #linear}
     */
    Optional<? extends LinearInPlace> inPlace(Tensors tensors);

    /**
     * Returns the data of the tensors of a linear, in the order of {@link #tensors}.
     *
     * @throws IllegalArgumentException if the layout cannot hold the linear exactly, saying why
     */
    List<MemorySegment> data(QuantizedLinear linear, boolean symmetric);

    /**
     * Returns {@code quantization_config} of config.json.
     *
     * @param kept full names of modules of the layers that are not quantized, as a router is
     */
    ObjectNode config(QuantizationSpec spec, List<String> kept);

    /** Returns name and content of the files that older loaders read beside config.json. */
    Map<String, ObjectNode> beside(QuantizationSpec spec, List<String> kept);

    /**
     * Returns name, type and shape of the tensors of a linear.
     *
     * @param module the linear's full name
     * @throws IllegalArgumentException if the layout cannot hold the shape, naming the tensor
     */
    default List<TensorSpec> tensors(String module, int out, int in, QuantizationSpec spec) {
        spec.check(module + ".weight", out, in);
        if (!format().bits().contains(spec.bits())) {
            throw new IllegalArgumentException("tensor " + module + ".weight: " + spec.bits() + " bits, "
                    + format().method() + " (" + format().version() + ") holds 4; take compressed-tensors or gptq");
        }
        if (format().packsInputs() && in % 8 != 0) {
            throw new IllegalArgumentException("tensor " + module + ".weight: in-features " + in
                    + " are not a multiple of 8, as " + format().method() + " needs");
        }
        return format().tensors(module, out, in, spec.groups(in), spec.bits(), spec.symmetric());
    }

    /**
     * Returns the tensors of a linear.
     *
     * @param module its full name
     * @throws IllegalArgumentException if the layout cannot hold the linear exactly, saying why
     */
    default List<PackedTensor> pack(String module, QuantizedLinear linear, boolean symmetric) {
        if (symmetric && !CompressedTensorsLayout.isSymmetric(linear)) {
            throw new IllegalArgumentException("its zeros are not all in the middle, " + linear.middle()
                    + ", although the config says that it is symmetric");
        }
        List<MemorySegment> data = data(linear, symmetric);
        List<TensorSpec> specs = format().tensors(
                        module, linear.outFeatures(), linear.inFeatures(), linear.groups(), linear.bits(), symmetric);
        List<PackedTensor> tensors = new ArrayList<>();
        for (int i = 0; i < data.size(); i++) {
            tensors.add(new PackedTensor(specs.get(i).name(), data.get(i)));
        }
        return tensors;
    }

    /**
     * Finds the tensors of one module of a checkpoint.
     *
     * @param module its full name
     */
    record Tensors(
            Checkpoint checkpoint,
            QuantizationConfig config,
            String module,
            int outFeatures,
            int inFeatures,
            QuantizationSpec spec) {

        /**
         * Finds the tensors of a module.
         *
         * @throws BadCheckpointException if the checkpoint is not quantized
         */
        public static Tensors of(Checkpoint checkpoint, LinearModule module, int layer) {
            ModelConfig config = checkpoint.config();
            QuantizationConfig quantization = config.quantization()
                    .orElseThrow(() -> new BadCheckpointException(
                            checkpoint.folder(),
                            "config.json has no quantization_config: this checkpoint is not quantized"));
            return new Tensors(
                    checkpoint,
                    quantization,
                    module.name(layer),
                    config.outFeatures(module),
                    config.inFeatures(module),
                    QuantizationSpec.of(quantization));
        }

        /** What the layout asks for, whether the checkpoint has it or not. */
        List<LinearTensor> expected() {
            return config.format()
                    .linear(
                            module,
                            outFeatures,
                            inFeatures,
                            spec.groups(inFeatures),
                            config.bits(),
                            config.symmetric());
        }

        public String name(Role role) {
            return config.format().name(module, role);
        }

        public boolean has(Role role) {
            return checkpoint.stored(name(role)).isPresent();
        }

        /**
         * Returns the data of the tensor with this role.
         *
         * @throws BadCheckpointException if it is absent, or of another type or shape than the layout's
         */
        public MemorySegment data(Role role) {
            TensorView tensor = checkpoint.tensor(name(role));
            for (LinearTensor wanted : expected()) {
                TensorSpec spec = wanted.spec();
                boolean sameType = wanted.type() == LinearTensor.Type.ANY_FLOAT
                        ? tensor.dtype().isWeight()
                        : tensor.dtype() == spec.dtype();
                if (wanted.role() == role && !(sameType && tensor.shape().equals(spec.shape()))) {
                    throw new BadCheckpointException(
                            checkpoint.fileOf(tensor.name()),
                            "tensor " + tensor.name() + " is " + tensor.dtype() + " " + tensor.shape()
                                    + ", config.json asks for " + spec.dtype() + " " + spec.shape());
                }
            }
            return tensor.data();
        }
    }
}
