package nibble.cli.option;

import nibble.calibrate.job.Method;
import nibble.cli.terminal.Terminal;
import nibble.engine.Backends;
import nibble.engine.backend.Activations;
import nibble.engine.backend.Backend;
import nibble.engine.backend.DeviceKind;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.tensor.DeviceLayers;
import nibble.engine.tensor.HeadWeights;
import nibble.files.FileSize;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Holds the options for where to compute. */
public final class DeviceOptions {
    @Option(
            names = "--device",
            paramLabel = "DEVICE",
            defaultValue = "auto",
            description =
                    "cuda:N, cpu, reference (plain loops, slow), or auto: cuda:0 if there is a card, otherwise cpu."
                            + " Quantizing also takes several cards of one kind, such as cuda:0,1. Default:"
                            + " ${DEFAULT-VALUE}.")
    String device = "auto";

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "Threads on the CPU; results do not depend on their number. Default: one for each processor.")
    public int threads = Runtime.getRuntime().availableProcessors();

    @Option(
            names = "--max-device-memory",
            paramLabel = "SIZE",
            description = "Largest card memory to use, such as 24GB. Default: all free memory.")
    private @Nullable String maxDeviceMemory;

    /** Opens the device and says which it is. */
    public Backend open(Terminal terminal) {
        return open(terminal, Activations.FP32);
    }

    /** As {@link #open(Terminal)}, for a form of activations. */
    Backend open(Terminal terminal, Activations activations) {
        return open(terminal, activations, HeadWeights.STORED, DeviceLayers.ALL);
    }

    /** As {@link #open(Terminal)}, for forms of activations and of the head, and for some layers of a model. */
    Backend open(Terminal terminal, Activations activations, HeadWeights head, DeviceLayers layers) {
        requireThreads();
        Backend backend = Backends.open(device, threads, deviceMemory(), activations, head, layers);
        String reason =
                device.equals("auto") && backend.kind() == DeviceKind.CPU ? " (" + Backends.whyNoCard() + ")" : "";
        terminal.note("device: " + backend.description() + reason);
        return backend;
    }

    /** Returns whether the device can take activations in int8. */
    boolean multipliesBytes() {
        return Backends.multipliesBytes(device);
    }

    /** Opens one device or several, as {@code cuda:0,1}, and says which. */
    public QuantizationDevices openForQuantization(Terminal terminal) {
        if (device.indexOf(',') < 0) {
            return QuantizationDevices.of(open(terminal));
        }
        requireThreads();
        QuantizationDevices devices = Backends.openForQuantization(device, threads, deviceMemory());
        devices.members().forEach(member -> terminal.note("device: " + member.description()));
        return devices;
    }

    /** Does what {@link #openForQuantization(Terminal)} does, where the method runs. */
    public QuantizationDevices openForQuantization(Terminal terminal, Method method) {
        requireDevice(method);
        return openForQuantization(terminal);
    }

    /** Does what {@link #open} does, where the method runs. */
    public Backend open(Terminal terminal, Method method) {
        requireDevice(method);
        return open(terminal);
    }

    private void requireDevice(Method method) {
        if (method != Method.BEST) {
            return;
        }
        int second = device.indexOf(',');
        if (second >= 0 && device.indexOf(',', second + 1) >= 0) {
            throw new UsageException("--method best runs on one or two cards; give --device "
                    + device.substring(0, device.indexOf(',', second + 1)) + ", or --method awq");
        }
    }

    private void requireThreads() {
        if (threads < 1) {
            throw new UsageException("--threads " + threads + ": at least 1");
        }
    }

    private long deviceMemory() {
        if (maxDeviceMemory == null) {
            return Long.MAX_VALUE;
        }
        try {
            return FileSize.parse(maxDeviceMemory);
        } catch (IllegalArgumentException e) {
            throw new UsageException("--max-device-memory " + maxDeviceMemory + ": " + e.getMessage());
        }
    }
}
