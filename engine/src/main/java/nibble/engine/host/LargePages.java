package nibble.engine.host;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import nibble.engine.host.natives.Kernels;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.StoredWeights;

/**
 * Asks for large pages for the weights of a model in its mapped files. Reading a file whose pages are of 4 KiB reached
 * 27 GB/s on machine A, one whose pages are of 2 MiB 34 GB/s. The system takes large ones only where it reads the file
 * from the disk; what it holds already stays as it is. An embedding keeps small pages: a token reads one row of it, and
 * large pages of such rows would soon be all of it.
 */
final class LargePages {
    /** Tensors that are no linears lie between; a large page does not span a gap. */
    private static final long SMALL = 1 << 16;

    private LargePages() {}

    /** Asks; a system without them goes on with small ones. */
    static void request(ModelWeights weights) {
        List<MemorySegment> parts = Stream.concat(
                        Stream.of(weights.head()), weights.layers().stream().flatMap(DecoderLayer::weights))
                .flatMap(weight -> StoredWeights.mapped(weight).stream())
                .sorted(Comparator.comparingLong(MemorySegment::address))
                .toList();
        for (MemorySegment run : runs(parts)) {
            Kernels.readInLargePages(run);
        }
    }

    /** Parts whose gaps are small, as one each. */
    private static List<MemorySegment> runs(List<MemorySegment> parts) {
        List<MemorySegment> runs = new ArrayList<>();
        long begin = 0;
        long end = 0;
        for (MemorySegment part : parts) {
            if (end != 0 && part.address() - end > SMALL) {
                runs.add(run(begin, end));
                end = 0;
            }
            begin = end == 0 ? part.address() : begin;
            end = Math.max(end, part.address() + part.byteSize());
        }
        if (end != 0) {
            runs.add(run(begin, end));
        }
        return runs;
    }

    /** Only its extent counts: it is not read through. */
    private static MemorySegment run(long begin, long end) {
        return MemorySegment.ofAddress(begin).reinterpret(end - begin);
    }
}
