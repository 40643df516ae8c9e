package nibble.engine.gradient;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Consumer;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.Parameter;
import org.jspecify.annotations.Nullable;

/**
 * Brings the gradients of several devices together, each of which computes one part of a step on a thread of its own.
 * They meet after every layer: the first device adds the gradients of the others to its own, in their order, and moves
 * the parameters; the others take up what was moved. So no device but the first keeps Adam's means up to date.
 */
public final class SharedGradient implements AutoCloseable {
    private final List<Member> members = new ArrayList<>();
    private volatile @Nullable Throwable failure;

    /** A device, with what it hands to the first one, and what that hands back. */
    private record Member(
            GradientOperations operations,
            GradientOperations.Mark mark,
            BlockingQueue<List<Parameter>> whole,
            BlockingQueue<List<Parameter>> moved) {}

    /** Adds the next device, the one that the calling thread uses. */
    public void join(GradientOperations operations) {
        members.add(
                new Member(operations, operations.mark(), new LinkedBlockingQueue<>(), new LinkedBlockingQueue<>()));
    }

    /**
     * Returns what takes the parameters of a device whose gradients are whole, in the same order on every device.
     *
     * @param index of the device
     * @param move moves a parameter of the first device along the gradient of all
     */
    public Consumer<List<Parameter>> of(int index, Consumer<Parameter> move) {
        return index == 0 ? whole -> lead(whole, move) : whole -> assist(members.get(index), whole);
    }

    private void lead(List<Parameter> whole, Consumer<Parameter> move) {
        Member first = members.getFirst();
        for (Member other : members.subList(1, members.size())) {
            List<Parameter> theirs = take(other.whole);
            first.operations.await(other.mark);
            for (int i = 0; i < whole.size(); i++) {
                whole.get(i).addGradientOf(theirs.get(i));
            }
        }
        whole.forEach(move);
        first.mark.set();
        members.subList(1, members.size()).forEach(other -> other.moved.add(whole));
    }

    private void assist(Member member, List<Parameter> whole) {
        member.mark.set();
        member.whole.add(whole);
        follow(member, whole, take(member.moved));
    }

    /** Waits for what another device hands over. */
    private List<Parameter> take(BlockingQueue<List<Parameter>> queue) {
        List<Parameter> found;
        try {
            found = queue.take();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while devices worked", e);
        }
        if (failure != null) {
            throw new IllegalStateException("another device failed", failure);
        }
        return found;
    }

    private void follow(Member member, List<Parameter> own, List<Parameter> leading) {
        member.operations.await(members.getFirst().mark);
        for (int i = 0; i < own.size(); i++) {
            own.get(i).follow(leading.get(i));
        }
    }

    /**
     * Makes a device take up parameters of the first one, whose work is done, outside of steps. The calling thread uses
     * that device.
     */
    public void copy(int index, List<Parameter> own, List<Parameter> leading) {
        follow(members.get(index), own, leading);
    }

    /** Ends the waiting of the others after a device failed; the first failure is kept. */
    public synchronized void fail(Throwable cause) {
        if (failure == null) {
            failure = cause;
        }
        for (Member member : members) {
            member.whole.add(List.of());
            member.moved.add(List.of());
        }
    }

    /** Returns what {@link #fail} was told of first. */
    public @Nullable Throwable failure() {
        return failure;
    }

    @Override
    public void close() {
        members.forEach(member -> member.mark.close());
    }
}
