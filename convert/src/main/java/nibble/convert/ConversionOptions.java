package nibble.convert;

import java.nio.file.Path;
import java.util.function.Consumer;
import java.util.function.DoubleConsumer;
import nibble.files.output.StopSignal;

/**
 * Describes how a conversion runs, whatever its formats.
 *
 * @param out folder to make; must not exist yet, or be empty
 * @param maxShardBytes most tensor bytes of a file
 * @param threads that encode; the bytes do not depend on it
 * @param resume whether to go on with an unfinished run; without one, this begins from the beginning
 * @param stop ends the run at its next safe point
 * @param note told, in words, what was found of an earlier run
 * @param progress told the fraction done, 0 to 1
 * @param share what of it this process does
 */
public record ConversionOptions(
        Path out,
        long maxShardBytes,
        int threads,
        boolean resume,
        StopSignal stop,
        Consumer<String> note,
        DoubleConsumer progress,
        ConversionShare share) {

    /** Does all of the conversion in this process. */
    public ConversionOptions(
            Path out,
            long maxShardBytes,
            int threads,
            boolean resume,
            StopSignal stop,
            Consumer<String> note,
            DoubleConsumer progress) {
        this(out, maxShardBytes, threads, resume, stop, note, progress, ConversionShare.WHOLE);
    }

    /** Returns the same for some of the work. */
    public ConversionOptions with(ConversionShare other) {
        return new ConversionOptions(out, maxShardBytes, threads, resume, stop, note, progress, other);
    }

    /** Starts from the beginning, with a thread for each processor and nobody who stops it. */
    public static ConversionOptions of(Path out, long maxShardBytes, DoubleConsumer progress) {
        return new ConversionOptions(
                out,
                maxShardBytes,
                Runtime.getRuntime().availableProcessors(),
                false,
                new StopSignal(),
                note -> {},
                progress);
    }
}
