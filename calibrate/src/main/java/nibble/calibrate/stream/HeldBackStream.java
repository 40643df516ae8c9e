package nibble.calibrate.stream;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.LinearInput;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import org.jspecify.annotations.Nullable;

/**
 * Takes the blocks that are held back from the fit through both models, and judges linears by them. Borrows the
 * streams.
 */
public final class HeldBackStream {
    private final QuantizationDevices devices;
    private final CalibrationStream original;
    private final CalibrationStream quantized;

    HeldBackStream(QuantizationDevices devices, CalibrationStream original, CalibrationStream quantized) {
        this.devices = devices;
        this.original = original;
        this.quantized = quantized;
    }

    List<CalibrationStream> streams() {
        return List.of(original, quantized);
    }

    /**
     * Holds squared errors of a linear's output on the held-back tokens. An error is what the output lacks to the
     * original model's on its own stream; o and down, which add to the residual stream, have its error in theirs.
     *
     * @param fitted of the linear as fitted
     * @param rounded of another form of it
     * @param size of the original's output
     */
    public record Errors(double fitted, double rounded, double size) {}

    /**
     * Names a linear to be judged.
     *
     * @param rounded another form of it, on each device
     */
    public record Candidate(LayerLinear linear, List<Weight> rounded) {}

    /** Returns how many tokens are held back. */
    public long tokens() {
        long tokens = 0;
        for (int i = 0; i < original.size(); i++) {
            tokens += original.tokens(i);
        }
        return tokens;
    }

    /**
     * Judges linears of one input.
     *
     * @param fp the original layer, on each device
     * @param made the layer with these linears as fitted, on each device
     * @return for each candidate
     */
    public List<Errors> errors(
            LinearInput input, List<DecoderLayer> fp, List<DecoderLayer> made, List<Candidate> candidates) {
        List<Errors> sums = new ArrayList<>();
        candidates.forEach(_ -> sums.add(new Errors(0, 0, 0)));
        for (int i = 0; i < original.size(); i++) {
            int batch = i;
            int member = original.member(i);
            Backend backend = devices.members().get(member);
            original.use(batch, false, (forward, before, sequences) -> {
                Matrix x = forward.input(input, fp.get(member), before, sequences);
                quantized.use(batch, false, (other, after, _) -> {
                    Matrix y = other.input(input, made.get(member), after, sequences);
                    for (int c = 0; c < candidates.size(); c++) {
                        LayerLinear linear = candidates.get(c).linear();
                        List<Weight> forms = List.of(
                                fp.get(member).weight(linear.linear(), linear.expert()),
                                made.get(member).weight(linear.linear(), linear.expert()),
                                candidates.get(c).rounded().get(member));
                        boolean behind = input == LinearInput.O || input == LinearInput.DOWN;
                        sums.set(c, add(sums.get(c), errors(backend, forms, x, y, behind ? before : null, after)));
                    }
                });
            });
        }
        original.release();
        quantized.release();
        return sums;
    }

    private static Errors add(Errors a, Errors b) {
        return new Errors(a.fitted + b.fitted, a.rounded + b.rounded, a.size + b.size);
    }

    /**
     * @param forms the original weight, the fitted one and the other
     * @param before the original's residual stream, if its error counts
     */
    private static Errors errors(
            Backend backend, List<Weight> forms, Matrix x, Matrix y, @Nullable Matrix before, Matrix after) {
        int out = forms.getFirst().outFeatures();
        try (Matrix wanted = backend.allocate(x.rows(), out);
                Matrix found = backend.allocate(x.rows(), out)) {
            backend.linear(forms.get(0), x, wanted);
            double size = backend.squares(wanted);
            if (before != null) {
                backend.subtract(before, after, found);
                backend.add(found, wanted);
            }
            double[] errors = new double[2];
            for (int form = 0; form < 2; form++) {
                backend.linear(forms.get(1 + form), y, found);
                backend.subtract(wanted, found, found);
                errors[form] = backend.squares(found);
            }
            return new Errors(errors[0], errors[1], size);
        }
    }

    /** Moves both streams through the attention half of a layer. */
    public void attention(List<DecoderLayer> fp, List<DecoderLayer> made) {
        move(original, fp, true);
        move(quantized, made, true);
    }

    /** Moves both streams through the MLP half of a layer. */
    public void mlp(List<DecoderLayer> fp, List<DecoderLayer> made) {
        move(original, fp, false);
        move(quantized, made, false);
    }

    private static void move(CalibrationStream stream, List<DecoderLayer> layers, boolean attention) {
        for (int i = 0; i < stream.size(); i++) {
            DecoderLayer layer = layers.get(stream.member(i));
            stream.use(i, true, (forward, hidden, sequences) -> {
                if (attention) {
                    forward.attention(layer, hidden, sequences);
                } else {
                    forward.mlp(layer, hidden);
                }
            });
        }
        stream.release();
    }
}
