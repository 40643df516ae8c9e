package nibble.engine.gradient;

import java.util.List;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.AttentionShape;
import nibble.engine.backend.Backend;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.RotaryTable;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.LayerExtras;
import nibble.engine.tensor.Matrix;

/**
 * A decoder layer forwards, as {@link nibble.engine.Forward} has it, and backwards, over whole sequences of one length.
 * Owns the gradients inside a layer.
 */
final class LayerPass implements AutoCloseable {
    private final ModelConfig config;
    private final Backend backend;
    private final GradientOperations operations;
    private final AttentionShape heads;
    private final int sequences;
    private final RotaryTable rotary;
    private final RotaryTable back;
    /** Gradients of what the tape's matrices of these extents hold. */
    private final Matrix dHidden;

    private final Matrix dQuery;
    private final Matrix dKey;
    private final Matrix dValue;
    private final Matrix dAttended;
    private final Matrix dGate;
    private final Matrix dUp;

    LayerPass(ModelConfig config, Backend backend, GradientOperations operations, int sequences, int length) {
        this.config = config;
        this.backend = backend;
        this.operations = operations;
        this.heads = AttentionShape.of(config);
        this.sequences = sequences;
        this.rotary = RotaryTable.of(config, length, length);
        this.back = rotary.inverse();
        int rows = sequences * length;
        this.dHidden = backend.allocate(rows, config.hiddenSize());
        this.dQuery = backend.allocate(rows, heads.queryColumns());
        this.dKey = backend.allocate(rows, heads.keyColumns());
        this.dValue = backend.allocate(rows, heads.keyColumns());
        this.dAttended = backend.allocate(rows, heads.queryColumns());
        this.dGate = backend.allocate(rows, config.intermediateSize());
        this.dUp = backend.allocate(rows, config.intermediateSize());
    }

    /** Runs the layer and keeps on the tape what {@link #backward} needs; {@code hidden} is changed in place. */
    void forward(DecoderLayer layer, Matrix hidden, LayerTape tape) {
        int rows = hidden.rows();
        LayerExtras extras = layer.extras();
        backend.copyRows(hidden, 0, rows, tape.input, 0);
        backend.rmsNorm(hidden, layer.inputNorm(), config.rmsNormEps(), tape.attentionInput);
        backend.linears(
                List.of(layer.q(), layer.k(), layer.v()),
                tape.attentionInput,
                List.of(tape.query, tape.key, tape.value));
        addBias(extras, Linear.Q, tape.query);
        addBias(extras, Linear.K, tape.key);
        addBias(extras, Linear.V, tape.value);
        extras.headNorms().ifPresent(norms -> {
            backend.copyRows(tape.query, 0, rows, java.util.Objects.requireNonNull(tape.rawQuery), 0);
            backend.copyRows(tape.key, 0, rows, java.util.Objects.requireNonNull(tape.rawKey), 0);
            backend.rmsNormHeads(tape.query, norms.query(), config.rmsNormEps());
            backend.rmsNormHeads(tape.key, norms.key(), config.rmsNormEps());
        });
        backend.rope(tape.query, heads.headDim(), rotary, sequences, 0);
        backend.rope(tape.key, heads.headDim(), rotary, sequences, 0);
        backend.attention(heads, sequences, tape.query, 0, tape.key, tape.value, tape.attended);
        backend.addLinear(layer.o(), tape.attended, hidden);
        addBias(extras, Linear.O, hidden);
        backend.copyRows(hidden, 0, rows, tape.middle, 0);
        backend.rmsNorm(hidden, layer.postAttentionNorm(), config.rmsNormEps(), tape.mlpInput);
        backend.linears(List.of(layer.gate(), layer.up()), tape.mlpInput, List.of(tape.gate, tape.up));
        backend.glu(config.architecture().activation(), tape.gate, tape.up, tape.activated);
        backend.addLinear(layer.down(), tape.activated, hidden);
    }

    private void addBias(LayerExtras extras, Linear linear, Matrix into) {
        float[] bias = extras.biases().get(linear);
        if (bias != null) {
            backend.addBias(bias, into);
        }
    }

    /**
     * Turns the gradient of what the layer gave into that of what went in, and adds those of its parameters.
     *
     * @param layer as in the forward pass
     * @param gradient changed in place
     */
    void backward(TunedLayer tuned, DecoderLayer layer, LayerTape tape, Matrix gradient) {
        addScales(tuned, Linear.DOWN, gradient, tape.activated);
        operations.linears(List.of(layer.down()), List.of(gradient), dGate);
        operations.glu(config.architecture().activation(), tape.gate, tape.up, dGate, dGate, dUp);
        addScales(tuned, Linear.GATE, dGate, tape.mlpInput);
        addScales(tuned, Linear.UP, dUp, tape.mlpInput);
        operations.linears(List.of(layer.gate(), layer.up()), List.of(dGate, dUp), dHidden);
        addNorm(tape.middle, tuned.postAttentionNorm(), gradient);

        addScales(tuned, Linear.O, gradient, tape.attended);
        operations.linears(List.of(layer.o()), List.of(gradient), dAttended);
        operations.attention(
                heads, sequences, tape.query, tape.key, tape.value, tape.attended, dAttended, dQuery, dKey, dValue);
        backend.rope(dQuery, heads.headDim(), back, sequences, 0);
        backend.rope(dKey, heads.headDim(), back, sequences, 0);
        tuned.headNorms().ifPresent(norms -> {
            addHeads(tape.rawQuery, norms.query(), dQuery);
            addHeads(tape.rawKey, norms.key(), dKey);
        });
        addScales(tuned, Linear.Q, dQuery, tape.attentionInput);
        addScales(tuned, Linear.K, dKey, tape.attentionInput);
        addScales(tuned, Linear.V, dValue, tape.attentionInput);
        operations.linears(List.of(layer.q(), layer.k(), layer.v()), List.of(dQuery, dKey, dValue), dHidden);
        addNorm(tape.input, tuned.inputNorm(), gradient);
    }

    private void addScales(TunedLayer tuned, Linear linear, Matrix dy, Matrix x) {
        operations.addScales(tuned.codes(linear), dy, x, tuned.scales(linear).gradient());
    }

    /** Of {@code dHidden}, the gradient of what the norm gave. */
    private void addNorm(Matrix x, Parameter gain, Matrix gradient) {
        operations.addRmsNorm(x, gain.values(), config.rmsNormEps(), dHidden, gradient, gain.gradient());
    }

    private void addHeads(@org.jspecify.annotations.Nullable Matrix raw, Parameter gain, Matrix gradient) {
        operations.rmsNormHeads(
                java.util.Objects.requireNonNull(raw), gain.values(), config.rmsNormEps(), gradient, gain.gradient());
    }

    @Override
    public void close() {
        for (Matrix matrix : List.of(dHidden, dQuery, dKey, dValue, dAttended, dGate, dUp)) {
            matrix.close();
        }
    }
}
