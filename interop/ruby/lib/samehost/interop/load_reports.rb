# frozen_string_literal: true

require 'samehost/interop/orca_load_report_pb'

module Samehost
  module Interop
    # The server's load report out of band: one, which TestService sets and OpenRcaService sends.
    class LoadReports
      # The trailer with one call's serialized report (gRFC A51).
      TRAILER = 'endpoint-load-metrics-bin'

      # The report on the wire for the one that a test asks for.
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

      # Sets the report. It is then this call's turn until it leaves: the server has one report, and each client expects
      # its own.
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
