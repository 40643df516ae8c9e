package nibble.calibrate.journal;

import java.util.List;
import nibble.calibrate.job.QuantizationReport;
import nibble.pack.layout.PackedTensor;

/**
 * Holds the result of one unit of work: a decoder layer, ready to be written. Everything about it can be serialized, so
 * it may have been made anywhere.
 *
 * @param sourceSha256 of the original weights it was made from, as {@link SourceDigest} has it
 * @param tensors all of the layer's tensors in the output
 */
public record FinishedLayer(
        int layer, String sourceSha256, List<PackedTensor> tensors, QuantizationReport.Layer report) {
    public FinishedLayer {
        tensors = List.copyOf(tensors);
    }
}
