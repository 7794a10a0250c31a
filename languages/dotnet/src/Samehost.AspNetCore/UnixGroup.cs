using System.Globalization;
using System.Runtime.InteropServices;

namespace Samehost.AspNetCore;

/// <summary>A group of users, by name or number.</summary>
public static class UnixGroup
{
    /// <summary>Where <c>struct group</c> has the number: after the pointers to name and password.</summary>
    private static readonly int NumberOffset = 2 * nint.Size;

    /// <summary>Returns the number (gid) of a group on this machine.</summary>
    /// <param name="group">Its name, or its number.</param>
    /// <exception cref="FormatException">No group has this name.</exception>
    public static uint Parse(string group)
    {
        // The highest number is what chown(2) takes for "leave it as it is".
        if (uint.TryParse(group, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number < uint.MaxValue)
        {
            return number;
        }

        var found = NativeMethods.FindGroup(group);
        return found == 0
            ? throw new FormatException($"invalid group '{group}': no group has this name; create it or use its number")
            : (uint)Marshal.ReadInt32(found, NumberOffset);
    }
}
