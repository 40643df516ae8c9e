package nibble.engine;

import java.util.ArrayList;
import java.util.List;
import nibble.engine.backend.Activations;
import nibble.engine.backend.Backend;
import nibble.engine.backend.DeviceException;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.cuda.CudaBackend;
import nibble.engine.cuda.group.CudaGroup;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.host.VectorBackend;
import nibble.engine.host.natives.Kernels;
import nibble.engine.tensor.DeviceLayers;
import nibble.engine.tensor.HeadWeights;

/** Opens a backend by the name of its device. */
public final class Backends {
    private Backends() {}

    /** Does what {@link #open(String, int, long)} does, with all memory of the device. */
    public static Backend open(String device, int threads) {
        return open(device, threads, Long.MAX_VALUE);
    }

    /** Opens a device for activations in fp32, or fp16 on a card. */
    public static Backend open(String device, int threads, long deviceMemory) {
        return open(device, threads, deviceMemory, Activations.FP32);
    }

    /** Does what the other does, for all layers of a model. */
    public static Backend open(String device, int threads, long deviceMemory, Activations activations) {
        return open(device, threads, deviceMemory, activations, DeviceLayers.ALL);
    }

    /**
     * Opens a device.
     *
     * @param device {@code cuda:N}; {@code cpu}: {@link VectorBackend}; {@code reference}: {@link ReferenceBackend};
     *     {@code auto}: {@code cuda:0} where a card can be used, else {@code cpu}
     * @param threads of the host, at least 1
     * @param deviceMemory most bytes to take of a card
     * @param activations how linear layers take them; int8 only on the CPU, with the native kernels
     * @param layers of a model that a card computes; the host computes the others
     * @throws DeviceException for a device that is not there or not known, or does not take such activations
     */
    public static Backend open(
            String device, int threads, long deviceMemory, Activations activations, DeviceLayers layers) {
        return open(device, threads, deviceMemory, activations, HeadWeights.STORED, layers);
    }

    /**
     * Opens a device.
     *
     * @param head form of a model's head; int8 only on the CPU
     * @throws DeviceException also for a device that does not take such a head
     */
    public static Backend open(
            String device,
            int threads,
            long deviceMemory,
            Activations activations,
            HeadWeights head,
            DeviceLayers layers) {
        if (threads < 1) {
            throw new DeviceException("device " + device + ": " + threads + " threads asked, at least 1 needed");
        }
        if (activations.bytes()) {
            return bytes(device, threads, activations, head);
        }
        if (head != HeadWeights.STORED) {
            requireProcessor(device, "a head");
            return new VectorBackend(threads, Kernels.ofMachine(), head);
        }
        if (device.startsWith("cuda:") && device.indexOf(',') >= 0) {
            throw new DeviceException(
                    "device " + device + ": only quantizing is shared by several cards; give one, as cuda:0");
        }
        if (device.startsWith("cuda:")) {
            return card(ordinal(device), deviceMemory, threads, layers);
        }
        return switch (device) {
            case "auto" ->
                CudaBackend.missing().isEmpty() ? card(0, deviceMemory, threads, layers) : new VectorBackend(threads);
            case "cpu" -> new VectorBackend(threads);
            case "reference" -> new ReferenceBackend();
            default ->
                throw new DeviceException(
                        "device " + device + ": unknown; auto, cpu, reference, cuda:0, cuda:1 and so on are known");
        };
    }

    /** Returns whether a device can take activations in int8: the CPU with the native kernels. */
    public static boolean multipliesBytes(String device) {
        return isProcessor(device) && Kernels.ofMachine() != null;
    }

    private static boolean isProcessor(String device) {
        return device.equals("cpu")
                || device.equals("auto") && !CudaBackend.missing().isEmpty();
    }

    private static Backend card(int ordinal, long deviceMemory, int threads, DeviceLayers layers) {
        return layers.equals(DeviceLayers.ALL)
                ? CudaBackend.open(ordinal, deviceMemory, threads)
                : CudaBackend.open(ordinal, deviceMemory, threads, new VectorBackend(threads), layers);
    }

    private static void requireProcessor(String device, String what) {
        if (!isProcessor(device)) {
            throw new DeviceException("device " + device + " does not take " + what + " in int8: give --device cpu");
        }
    }

    private static Backend bytes(String device, int threads, Activations activations, HeadWeights head) {
        requireProcessor(device, "activations");
        Kernels kernels = Kernels.ofMachine();
        if (kernels == null) {
            throw new DeviceException("activations in int8 need the native kernels: " + Kernels.whyNone());
        }
        return new VectorBackend(threads, kernels.with(activations), head);
    }

    /**
     * Does what {@link #open(String, int, long)} does, or opens several cards that share the work of a quantization, as
     * {@code cuda:0,1}.
     *
     * @return what closes its backends with itself
     * @throws DeviceException for a device that is not there or not known, and for cards of different kinds
     */
    public static QuantizationDevices openForQuantization(String device, int threads, long deviceMemory) {
        if (!device.startsWith("cuda:") || device.indexOf(',') < 0) {
            return QuantizationDevices.of(open(device, threads, deviceMemory));
        }
        List<Integer> ordinals = new ArrayList<>();
        for (String number : device.substring("cuda:".length()).split(",", -1)) {
            ordinals.add(ordinal("cuda:" + number));
        }
        return CudaGroup.open(ordinals, deviceMemory, threads);
    }

    /** Says why {@code auto} takes no card on this machine, in an empty text if it takes one. */
    public static String whyNoCard() {
        return CudaBackend.missing();
    }

    private static int ordinal(String device) {
        try {
            return Integer.parseInt(device, "cuda:".length(), device.length(), 10);
        } catch (NumberFormatException e) {
            throw new DeviceException("device " + device + ": a number is expected after cuda:, as in cuda:0", e);
        }
    }
}
