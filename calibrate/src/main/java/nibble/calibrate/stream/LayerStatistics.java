package nibble.calibrate.stream;

import java.util.EnumMap;
import java.util.Map;
import nibble.calibrate.job.ProgressListener.Stage;
import nibble.calibrate.job.WorkProgress;
import nibble.checkpoint.model.LinearInput;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.forward.Taps;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/** Holds statistics of the inputs of a layer's linears over all calibration tokens. Owns the statistics. */
public final class LayerStatistics implements Taps, AutoCloseable {
    private final QuantizationDevices devices;
    private final WorkProgress progress;
    private final Map<LinearInput, InputStatistics> inputs = new EnumMap<>(LinearInput.class);

    public LayerStatistics(QuantizationDevices devices, WorkProgress progress) {
        this.devices = devices;
        this.progress = progress;
    }

    @Override
    public void tap(LinearInput input, Matrix x) {
        // A clock of its own waits for what came before: with several devices at work they would wait for each other.
        boolean alone = devices.members().size() == 1;
        if (alone) {
            progress.stage(Stage.MOMENTS);
        }
        inputs.computeIfAbsent(input, _ -> devices.statistics(x.columns())).add(x);
        if (alone) {
            progress.stage(Stage.FORWARD);
        }
    }

    /** Ends a part of all sums. */
    void endPart() {
        inputs.values().forEach(InputStatistics::endPart);
    }

    /** Returns the statistics of an input, which stay owned by this. */
    public InputStatistics of(LinearInput input) {
        @Nullable InputStatistics found = inputs.get(input);
        if (found == null) {
            throw new IllegalStateException("no statistics of " + input + ": the layer did not run");
        }
        return found;
    }

    @Override
    public void close() {
        inputs.values().forEach(InputStatistics::close);
    }
}
