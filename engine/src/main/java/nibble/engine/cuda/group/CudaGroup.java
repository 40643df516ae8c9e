package nibble.engine.cuda.group;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntFunction;
import nibble.engine.backend.Backend;
import nibble.engine.backend.DeviceException;
import nibble.engine.backend.PlacedWeight;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.cuda.CudaBackend;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.quantize.BroughtQuantizer;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;

/**
 * Shares work over several cards of one host and of one kind. Owns the backends, and a thread for each of them but the
 * first.
 */
public final class CudaGroup implements QuantizationDevices {
    private final List<CudaBackend> members;
    private final List<ExecutorService> threads = new ArrayList<>();

    private CudaGroup(List<CudaBackend> members) {
        this.members = members;
        for (CudaBackend member : members.subList(1, members.size())) {
            threads.add(Executors.newSingleThreadExecutor(Thread.ofPlatform()
                    .daemon()
                    .name("nibble-cuda-" + member.resources().device().ordinal())
                    .factory()));
        }
    }

    /**
     * Opens several cards.
     *
     * @param ordinals of the cards, the one that sums up first
     * @param memoryLimit most bytes to take of each
     * @param threads of the host, for copies
     * @throws DeviceException if one is not there, is named twice, or differs from the others
     */
    public static CudaGroup open(List<Integer> ordinals, long memoryLimit, int threads) {
        if (ordinals.stream().distinct().count() < ordinals.size()) {
            throw new DeviceException("device cuda:" + ordinals + ": a card is named twice");
        }
        List<CudaBackend> members = new ArrayList<>();
        try {
            for (int ordinal : ordinals) {
                members.add(CudaBackend.open(ordinal, memoryLimit, Math.max(1, threads / ordinals.size())));
            }
            CudaDevice first = members.getFirst().resources().device();
            for (CudaBackend member : members) {
                CudaDevice device = member.resources().device();
                if (!device.name().equals(first.name())) {
                    throw new DeviceException(
                            "cuda:" + device.ordinal() + " is a " + device.name() + ", cuda:" + first.ordinal() + " a "
                                    + first.name() + "; cards that share the work must be of one kind");
                }
                members.stream()
                        .filter(other -> other != member)
                        .forEach(other -> device.reach(other.resources().device()));
            }
            members.getFirst().makeCurrent();
            return new CudaGroup(List.copyOf(members));
        } catch (RuntimeException e) {
            members.forEach(CudaBackend::close);
            throw e;
        }
    }

    @Override
    public List<Backend> members() {
        return List.copyOf(members);
    }

    public CudaBackend member(int index) {
        return members.get(index);
    }

    int size() {
        return members.size();
    }

    @Override
    public PairedMoments pairedMoments(int columns, int residual) {
        if (size() > 2) {
            throw new UnsupportedOperationException("moments of two streams on " + size() + " cards");
        }
        return new CudaGroupMoments(this, columns, residual);
    }

    @Override
    public CudaGroupStatistics statistics(int columns) {
        return new CudaGroupStatistics(this, columns);
    }

    @Override
    public LinearQuantizer quantizer(
            List<? extends Weight> placed, DenseWeight original, Path file, QuantizationSpec spec) {
        if (placed.getFirst() instanceof DenseWeight host) {
            return BroughtQuantizer.of(host, () -> {
                List<PlacedWeight> brought = onEach(i -> members.get(i).bring(host));
                return BroughtQuantizer.opened(
                        () -> here(brought.stream().map(PlacedWeight::weight).toList(), original, file, spec),
                        () -> onEach(i -> {
                            brought.get(i).close();
                            return i;
                        }));
            });
        }
        return here(placed, original, file, spec);
    }

    /** A quantizer of a weight that lies on each card. */
    private CudaGroupQuantizer here(
            List<? extends Weight> placed, DenseWeight original, Path file, QuantizationSpec spec) {
        return new CudaGroupQuantizer(
                this, onEach(i -> members.get(i).quantizerHere(placed.get(i), original, file, spec)));
    }

    @Override
    public <T> List<T> onEach(IntFunction<T> task) {
        List<Future<T>> others = new ArrayList<>();
        for (int i = 1; i < members.size(); i++) {
            int index = i;
            others.add(threads.get(i - 1).submit(() -> {
                members.get(index).makeCurrent();
                return task.apply(index);
            }));
        }
        List<T> results = new ArrayList<>();
        RuntimeException failure = null;
        try {
            members.getFirst().makeCurrent();
            results.add(task.apply(0));
        } catch (RuntimeException e) {
            failure = e;
        }
        for (Future<T> other : others) {
            try {
                results.add(other.get());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                failure = new IllegalStateException("interrupted while cards worked", e);
            } catch (ExecutionException e) {
                failure = e.getCause() instanceof RuntimeException cause
                        ? cause
                        : new IllegalStateException("work on a card failed", e.getCause());
            }
        }
        if (failure != null) {
            throw failure;
        }
        return results;
    }

    @Override
    public void synchronize() {
        for (CudaBackend member : members) {
            member.makeCurrent();
            member.synchronize();
        }
        members.getFirst().makeCurrent();
    }

    @Override
    public void close() {
        threads.forEach(ExecutorService::close);
        for (CudaBackend member : members.reversed()) {
            member.makeCurrent();
            member.close();
        }
    }
}
