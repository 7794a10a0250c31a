# frozen_string_literal: true

require 'samehost/interop/orca_load_report_pb'

module Samehost
  module Interop
    # The out-of-band load report of the server. TestService sets it, and OpenRcaService sends it.
    class LoadReports
      # The trailer with one call's serialized report (gRFC A51).
      TRAILER = 'endpoint-load-metrics-bin'

      # Converts the report of a test to the message that a server sends.
      def self.report(test_report)
        Xds::Data::Orca::V3::OrcaLoadReport.new(
          cpu_utilization: test_report.cpu_utilization, mem_utilization: test_report.memory_utilization,
          request_cost: test_report.request_cost.to_h, utilization: test_report.utilization.to_h
        )
      end

      attr_reader :current

      def initialize
        @current = Xds::Data::Orca::V3::OrcaLoadReport.new
        @turn = Mutex.new
      end

      # Sets the report. Other calls wait until this call leaves, because the server has one report, and each client
      # expects its own.
      def set(report)
        @turn.lock unless @turn.owned?
        @current = report
      end

      def leave
        @turn.unlock if @turn.owned?
      end
    end
  end
end
